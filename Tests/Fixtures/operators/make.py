#!/usr/bin/env python3
"""Writes the cases of operators that Tests/ApusEngineTests/OperatorCase.swift runs: random inputs, and what ONNX
Runtime computes (the reference implementation of ONNX where ONNX Runtime does not compute an operator's type).

Needs onnx 1.23, onnxruntime 1.32 and scikit-learn, skl2onnx for the trained models:
    python3 Tests/Fixtures/operators/make.py
"""
import pathlib

import numpy
import onnx
import onnx.shape_inference
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import cases
import classical

FOLDER = pathlib.Path(__file__).parent
random = numpy.random.default_rng(7)


def reals(*shape, dtype=numpy.float32):
    return random.standard_normal(shape).astype(dtype)


def wholes(*shape, dtype=numpy.uint8):
    limits = numpy.iinfo(dtype)
    return random.integers(max(limits.min, -50_000), min(limits.max, 50_000), shape, endpoint=True).astype(dtype)


def weights(left, right, *shape):
    """Small ones where ONNX Runtime's kernels for AVX2 add pairs of products in 16 bits."""
    small = left == numpy.uint8 and right == numpy.int8
    return wholes(*shape, dtype=right) // numpy.array(2 if small else 1, right)


def compute(node, opset, inputs):
    """The outputs, by ONNX Runtime if it can."""
    names = [name for name in node.input if name]
    given = {name: array for name, array in zip(node.input, inputs) if name}
    graph = helper.make_graph(
        [node], "case",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(given[name].dtype), given[name].shape)
            for name in names
        ],
        [helper.make_empty_tensor_value_info(name) for name in node.output if name])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(node.domain, opset)], ir_version=9)
    model = onnx.shape_inference.infer_shapes(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        return session.run(None, given)
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        return ReferenceEvaluator(model).run(None, given)


def indices(array, node):
    """Texts as their indices in the list of labels that the node has."""
    if array.dtype != object:
        return array
    attributes = {proto.name: helper.get_attribute_value(proto) for proto in node.attribute}
    labels = attributes.get("classlabels_strings") or attributes.get("values_strings") or attributes["classes_strings"]
    labels = [label.decode() for label in labels] + [attributes.get("default_string", b"_Unused").decode()]
    return numpy.vectorize(labels.index, otypes=[numpy.int64])(array)


class Family:
    """Cases that go into one file."""

    def __init__(self):
        self.cases = []

    def add(self, operator, opset, inputs, outputs=1, tolerance=1e-5, absolute=1e-5, domain="", **attributes):
        inputs = [array if array is None else numpy.asarray(array) for array in inputs]
        names = ["" if array is None else f"i{index}" for index, array in enumerate(inputs)]
        node = helper.make_node(
            operator, names, [f"o{index}" for index in range(outputs)], domain=domain, **attributes)
        self.add_node(node, opset, inputs, tolerance, absolute)

    def add_node(self, node, opset, inputs, tolerance=1e-5, absolute=1e-5):
        """A node that reads `inputs` in order."""
        found = [indices(array, node) for array in compute(node, opset, inputs)]
        name = f"{node.op_type} {opset} #{len(self.cases)}"
        self.cases.append(cases.entry(name, node, opset, inputs, found, tolerance, absolute))


def matrices():
    family = Family()
    for dtype in (numpy.float32, numpy.float64, numpy.int32, numpy.int64, numpy.uint32, numpy.uint64):
        make = reals if dtype in (numpy.float32, numpy.float64) else wholes
        family.add("MatMul", 13, [make(3, 4, dtype=dtype), make(4, 5, dtype=dtype)])
        family.add("Gemm", 13, [make(3, 4, dtype=dtype), make(4, 5, dtype=dtype), make(5, dtype=dtype)])
    for left, right in (
        ((4,), (4,)), ((4,), (4, 3)), ((3, 4), (4,)), ((4,), (2, 4, 3)), ((2, 3, 4), (4,)), ((2, 1, 3, 4), (5, 4, 2)),
        ((1, 4), (2, 3, 4, 150)), ((3, 2, 2, 5), (3, 1, 5, 2)), ((2, 0, 4), (4, 3)), ((2, 3, 0), (0, 4)),
    ):
        family.add("MatMul", 9, [reals(*left), reals(*right)])
    for left, right, addend, attributes in (
        ((3, 4), (4, 5), (3, 5), {}), ((4, 3), (4, 5), (3, 1), {"transA": 1}), ((3, 4), (5, 4), (1, 5), {"transB": 1}),
        ((4, 3), (200, 4), (), {"transA": 1, "transB": 1, "alpha": 0.25, "beta": 0.5}), ((3, 4), (4, 5), None, {}),
        ((3, 4), (4, 5), (1, 1), {"beta": 0.0}), ((3, 0), (0, 2), (2,), {}),
    ):
        family.add("Gemm", 11, [reals(*left), reals(*right), None if addend is None else reals(*addend)], **attributes)
    return family


def windows():
    family = Family()
    for shape, weights, attributes in (
        ((2, 3, 9), (4, 3, 3), {}), ((2, 3, 9), (4, 3, 3), {"strides": [2], "pads": [1, 2], "dilations": [2]}),
        ((2, 4, 7, 8), (6, 2, 3, 2), {"group": 2, "pads": [1, 0, 2, 1]}), ((1, 4, 7, 8), (4, 1, 3, 3), {"group": 4}),
        ((1, 2, 7, 8), (3, 2, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
        ((1, 2, 7, 8), (3, 2, 4, 2), {"auto_pad": "SAME_LOWER", "strides": [2, 1]}),
        ((1, 2, 7, 8), (3, 2, 3, 3), {"auto_pad": "VALID", "strides": [2, 3], "kernel_shape": [3, 3]}),
        ((1, 2, 4, 5, 6), (3, 2, 2, 3, 2), {"pads": [0, 1, 1, 1, 1, 0], "strides": [1, 2, 2], "dilations": [2, 1, 1]}),
        ((1, 1, 2, 300), (2, 1, 1, 5), {"strides": [1, 2]}), ((0, 2, 5, 5), (3, 2, 2, 2), {}),
    ):
        family.add("Conv", 11, [reals(*shape), reals(*weights), reals(weights[0])], **attributes)
        family.add("Conv", 11, [reals(*shape), reals(*weights)], **attributes)
    for shape, attributes in (
        ((2, 3, 9), {"kernel_shape": [3]}), ((2, 3, 9), {"kernel_shape": [2], "strides": [2], "ceil_mode": 1}),
        ((1, 2, 7, 8), {"kernel_shape": [3, 2], "pads": [1, 0, 2, 1], "strides": [2, 2]}),
        ((1, 2, 7, 8), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2], "ceil_mode": 1}),
        ((1, 2, 7, 8), {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 3]}),
        ((1, 2, 7, 8), {"kernel_shape": [4, 3], "auto_pad": "SAME_LOWER", "strides": [2, 3]}),
        ((1, 2, 7, 8), {"kernel_shape": [4, 3], "auto_pad": "VALID", "strides": [2, 3]}),
        ((1, 2, 5, 6, 7), {"kernel_shape": [2, 3, 2], "pads": [1, 0, 1, 0, 1, 1], "strides": [2, 1, 2]}),
    ):
        x = reals(*shape)
        family.add("AveragePool", 11, [x], **attributes)
        family.add("AveragePool", 19, [x], count_include_pad=1, **attributes)
        family.add("MaxPool", 12, [x], outputs=2, **attributes)
        family.add("MaxPool", 12, [x], outputs=2, storage_order=1, **attributes)
        family.add("MaxPool", 12, [x], **attributes)
    for dtype in (numpy.int8, numpy.uint8):
        family.add("MaxPool", 12, [wholes(1, 2, 5, 5, dtype=dtype)], kernel_shape=[2, 2], dilations=[2, 1])
    for counts in (0, 1):
        family.add(
            "AveragePool", 19, [reals(1, 2, 9, 8)], kernel_shape=[3, 2], dilations=[2, 3], pads=[1, 1, 1, 1],
            count_include_pad=counts, ceil_mode=counts)
    family.add("MaxPool", 10, [reals(1, 2, 9, 8)], outputs=2, kernel_shape=[3, 2], dilations=[2, 3], strides=[2, 1])
    for operator in ("GlobalAveragePool", "GlobalMaxPool"):
        for shape in ((2, 3, 4), (2, 3, 4, 5), (1, 2, 3, 2, 2)):
            family.add(operator, 1, [reals(*shape)])
    return family


def normalization():
    family = Family()
    for opset in (9, 14, 15):
        for shape in ((2, 3, 4, 5), (4, 3), (2, 3, 4)):
            parameters = [reals(3), reals(3), reals(3), numpy.abs(reals(3)) + 0.1]
            family.add("BatchNormalization", opset, [reals(*shape), *parameters], epsilon=0.01)
    for dtype in (numpy.float32, numpy.float64):
        for axis, shape in ((-1, (5,)), (1, (4, 5)), (-2, (4, 5)), (0, (3, 4, 5))):
            x = reals(3, 4, 5, dtype=dtype)
            parameters = [reals(*shape, dtype=dtype), reals(*shape, dtype=dtype)]
            family.add("LayerNormalization", 17, [x, *parameters], axis=axis, epsilon=0.001)
            family.add("LayerNormalization", 17, [x, parameters[0]], axis=axis)
    family.add("LayerNormalization", 17, [reals(3, 4, 5), reals(5), reals(5)], outputs=3)
    family.add("LayerNormalization", 17, [reals(3, 4, 5), reals(4, 5), reals(4, 5)], outputs=3, axis=1)
    family.add("RMSNormalization", 23, [reals(3, 4, 5), reals(5)])
    family.add("RMSNormalization", 23, [reals(3, 4, 5), reals(4, 5)], axis=1, epsilon=0.1)
    family.add("InstanceNormalization", 6, [reals(2, 3, 4, 5), reals(3), reals(3)])
    family.add("GroupNormalization", 18, [reals(2, 6, 4, 5), reals(3), reals(3)], num_groups=3)
    family.add("GroupNormalization", 21, [reals(2, 6, 4, 5), reals(6), reals(6)], num_groups=3)
    for size in (1, 3, 5):
        family.add("LRN", 13, [reals(2, 4, 3, 2)], size=size, alpha=0.01, beta=0.6, bias=1.5)
    return family


def quantization():
    family = Family()
    scale = numpy.float32(0.05)
    edges = numpy.array(
        [-1e9, -6.4, -0.025, 0.025, 0.075, 0.125, 6.35, 6.375, 1e9, numpy.inf, -numpy.inf], numpy.float32)
    for dtype in (numpy.int8, numpy.uint8, numpy.int16, numpy.uint16):
        opset = 10 if dtype in (numpy.int8, numpy.uint8) else 21
        zero = numpy.array(3, dtype)
        family.add("QuantizeLinear", opset, [edges, scale, zero], absolute=0)
        family.add("QuantizeLinear", opset, [reals(3, 4) * 3, scale, zero], absolute=0)
        family.add("DequantizeLinear", opset, [wholes(3, 4, dtype=dtype), scale, zero])
        opset = max(opset, 13)
        scales = numpy.abs(reals(4)) + numpy.float32(0.01)
        zeros = wholes(4, dtype=numpy.int8 if dtype == numpy.int8 else numpy.uint8).astype(dtype)
        family.add("QuantizeLinear", opset, [reals(3, 4, 2) * 3, scales, zeros], absolute=0)
        family.add("DequantizeLinear", opset, [wholes(3, 4, 2, dtype=dtype), scales, zeros], axis=-2)
        blocks = numpy.abs(reals(3, 2)) + numpy.float32(0.01)
        family.add(
            "QuantizeLinear", 21, [reals(3, 4) * 3, blocks, wholes(3, 2).astype(dtype)], absolute=0, axis=1,
            block_size=2)
        family.add("DequantizeLinear", 21, [wholes(3, 4, dtype=dtype), blocks], axis=1, block_size=2)
    family.add("QuantizeLinear", 13, [reals(3, 4) * 3, scale], absolute=0)
    family.add("QuantizeLinear", 21, [reals(3, 4) * 3, scale], absolute=0, output_dtype=TensorProto.INT8)
    family.add("DequantizeLinear", 13, [wholes(3, 4, dtype=numpy.int32), scale])
    for x in (reals(3, 4), numpy.abs(reals(5)), -numpy.abs(reals(5)), numpy.zeros(3, numpy.float32)):
        family.add("DynamicQuantizeLinear", 11, [x], outputs=3)
    for left in (numpy.uint8, numpy.int8):
        for right in (numpy.uint8, numpy.int8):
            a, b = wholes(2, 3, 4, dtype=left), weights(left, right, 4, 5)
            za, zb = numpy.array(7, left), numpy.array(9, right)
            if not (left == numpy.int8 and right == numpy.uint8):
                family.add("MatMulInteger", 10, [a, b, za, zb])
                family.add("MatMulInteger", 10, [a, b])
                family.add("MatMulInteger", 10, [a, b, za, wholes(5, dtype=right)])
            if left == right or left == numpy.uint8:
                scales = [numpy.float32(0.02), numpy.float32(0.03), numpy.float32(0.2)]
                columns = numpy.abs(reals(5)) * numpy.float32(0.05) + numpy.float32(0.001)
                for scaled, zeros in ((scales[1], zb), (columns, wholes(5, dtype=right))):
                    family.add(
                        "QLinearMatMul", 10, [a, scales[0], za, b, scaled, zeros, scales[2], numpy.array(5, left)],
                        absolute=0)
                x, w = wholes(1, 2, 6, 7, dtype=left), weights(left, right, 3, 2, 3, 2)
                channels = numpy.abs(reals(3)) * numpy.float32(0.05) + numpy.float32(0.001)
                bias = wholes(3, dtype=numpy.int32)
                for scaled, zeros in ((scales[1], zb), (channels, numpy.full(3, 4, right))):
                    if left == numpy.int8:
                        zeros = numpy.zeros_like(zeros)
                    for extra in ([], [bias]):
                        family.add(
                            "QLinearConv", 10,
                            [x, scales[0], za, w, scaled, zeros, scales[2], numpy.array(5, left), *extra], absolute=0,
                            pads=[1, 0, 1, 2], strides=[1, 2])
    x, w = wholes(1, 4, 6, 7), wholes(6, 2, 3, 2)
    family.add("ConvInteger", 10, [x, w], group=2)
    family.add(
        "ConvInteger", 10, [x, w, numpy.uint8(8), numpy.uint8(100)], group=2, pads=[1, 1, 0, 2], dilations=[2, 1])
    return family


if __name__ == "__main__":
    for make in (matrices, windows, normalization, quantization):
        family = make()
        cases.write(FOLDER / f"{make.__name__}.json", family.cases)
        print(make.__name__, len(family.cases))
    family = Family()
    classical.add(family)
    cases.write(FOLDER / "classical.json", family.cases)
    print("classical", len(family.cases))
