#!/usr/bin/env python3
"""Makes the fixtures of this folder: make.py [FOLDER]

NAME.safetensors holds the weights of layers that a test lists, NAME.input.bin rows for them and NAME.output.bin what
ONNX Runtime answers, in float32, of the same layers as PyTorch would export them.

Needs the packages numpy, onnx 1.23.2 and onnxruntime 1.32.0. Weights and inputs come from fixed seeds.
"""
import json
import pathlib
import struct
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROWS = 5


def image(random):
    weights = {
        "features.0.weight": random.normal(0, 0.5, [6, 2, 3, 3]),
        "features.0.bias": random.normal(0, 1, [6]),
        **norm("features.1", 6, random),
        "features.4.weight": random.normal(0, 0.3, [8, 6, 3, 3]),
        "head.weight": random.normal(0, 1, [3, 8]),
        "head.bias": random.normal(0, 1, [3]),
    }
    nodes = [
        ("Conv", ["x", "features.0.weight", "features.0.bias"], {"strides": [2, 1], "pads": [1, 2, 1, 2], "group": 2}),
        ("BatchNormalization", norm_inputs("features.1"), {"epsilon": 1e-3}),
        ("LeakyRelu", [""], {"alpha": 0.2}),
        ("AveragePool", [""], {"kernel_shape": [2, 2], "strides": [1, 1], "pads": [1] * 4, "count_include_pad": 1}),
        ("Conv", ["", "features.4.weight"], {"dilations": [2, 2], "pads": [2] * 4}),
        ("MaxPool", [""], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4, "ceil_mode": 1}),
        ("GlobalAveragePool", [""], {}),
        ("Flatten", [""], {"axis": 1}),
        ("Gemm", ["", "head.weight", "head.bias"], {"transB": 1}),
        ("Sigmoid", [""], {}),
    ]
    return [4, 9, 8], weights, nodes


def sequence(random):
    weights = {
        "0.weight": random.normal(0, 0.5, [5, 3, 3]),
        "0.bias": random.normal(0, 1, [5]),
        "2.running_mean": random.normal(0, 1, [5]),
        "2.running_var": random.uniform(0.5, 2, [5]),
        "2.num_batches_tracked": np.array(7, np.int64),
        "7.weight": random.normal(0, 1, [4, 5]),
    }
    ones, zeros = np.ones(5, np.float32), np.zeros(5, np.float32)
    nodes = [
        ("Conv", ["x", "0.weight", "0.bias"], {"strides": [2], "pads": [1, 1]}),
        ("Gelu", [""], {}),
        ("BatchNormalization", ["", ones, zeros, "2.running_mean", "2.running_var"], {"epsilon": 1e-5}),
        ("Tanh", [""], {}),
        ("MaxPool", [""], {"kernel_shape": [2], "strides": [2]}),
        ("GlobalAveragePool", [""], {}),
        ("Flatten", [""], {"axis": 1}),
        ("Gemm", ["", "7.weight"], {"transB": 1}),
        ("Softmax", [""], {"axis": 1}),
    ]
    return [3, 12], weights, nodes


def norm(name, channels, random):
    return {
        f"{name}.weight": random.normal(1, 0.3, [channels]),
        f"{name}.bias": random.normal(0, 1, [channels]),
        f"{name}.running_mean": random.normal(0, 1, [channels]),
        f"{name}.running_var": random.uniform(0.5, 2, [channels]),
        f"{name}.num_batches_tracked": np.array(7, np.int64),
    }


def norm_inputs(name):
    return ["", *(f"{name}.{part}" for part in ["weight", "bias", "running_mean", "running_var"])]


def run(shape, weights, nodes, rows):
    """What ONNX Runtime answers. An empty name is what the node before gives."""
    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items() if value.ndim]
    made = []
    for place, (operator, inputs, attributes) in enumerate(nodes):
        names = []
        for number, given in enumerate(inputs):
            if isinstance(given, np.ndarray):
                initializers.append(numpy_helper.from_array(given, f"{place}/{number}"))
                given = f"{place}/{number}"
            names.append(given or f"y{place - 1}")
        made.append(helper.make_node(operator, names, [f"y{place}"], **attributes))
    graph = helper.make_graph(
        made,
        "layers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, *shape])],
        [helper.make_tensor_value_info(made[-1].output[0], TensorProto.FLOAT, None)],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": rows})[0]


def safetensors(weights):
    header, data = {}, b""
    for name, value in weights.items():
        content = value.tobytes()
        dtype = "I64" if value.dtype == np.int64 else "F32"
        header[name] = {
            "dtype": dtype, "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(content)],
        }  # fmt: skip
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def main() -> None:
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    for seed, build in enumerate([image, sequence]):
        random = np.random.default_rng(seed)
        shape, weights, nodes = build(random)
        weights = {
            name: value if value.dtype == np.int64 else value.astype(np.float32) for name, value in weights.items()
        }
        rows = random.normal(0, 1, [ROWS, *shape]).astype(np.float32)
        name = build.__name__
        (folder / f"{name}.safetensors").write_bytes(safetensors(weights))
        rows.tofile(folder / f"{name}.input.bin")
        answers = run(shape, weights, nodes, rows)
        answers.tofile(folder / f"{name}.output.bin")
        print(name, answers.shape)


if __name__ == "__main__":
    main()
