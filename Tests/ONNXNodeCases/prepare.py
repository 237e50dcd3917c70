#!/usr/bin/env python3
"""Writes the node cases of ONNX's own backend tests that need no operators but those below.

    prepare.py FOLDER                  FOLDER/NAME/model.onnx, and for each set of data input_J.pb and output_J.pb;
                                       FOLDER/cases.json names the cases
    prepare.py --onnxruntime FILE      writes the names of the cases of COMMON_TYPES that ONNX Runtime passes into
                                       FILE: what must pass here, too; onnxruntime.txt is such a file

Needs the package onnx, and onnxruntime for the second form, in the versions that the Makefile names.
"""
import json
import pathlib
import shutil
import sys
import warnings

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases

HERE = pathlib.Path(__file__).parent
OPERATORS = {
    # Layers
    "AveragePool", "BatchNormalization", "Conv", "Dropout", "Flatten", "Gemm", "GlobalAveragePool", "GlobalMaxPool",
    "LayerNormalization", "MatMul", "MaxPool",
    # Activations
    "Clip", "Erf", "Gelu", "LeakyRelu", "LogSoftmax", "Relu", "Sigmoid", "Softmax", "Tanh",
    # Element by element
    "Abs", "Add", "Cast", "Div", "Equal", "Exp", "Identity", "Log", "Max", "Min", "Mul", "Neg", "Pow", "Reciprocal",
    "Sqrt", "Sub", "Where",
    # Shapes
    "Concat", "Constant", "ConstantOfShape", "Expand", "Gather", "Reshape", "Shape", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
    # Reductions
    "ArgMax", "ReduceMax", "ReduceMean", "ReduceSum", "TopK",
    # Whole numbers for real ones
    "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearMatMul", "QuantizeLinear",
}  # fmt: skip
COMMON_TYPES = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32,
                TensorProto.INT64, TensorProto.BOOL}  # fmt: skip


def selected():
    """The cases all of whose nodes are of OPERATORS and all of whose inputs and outputs are tensors."""
    with warnings.catch_warnings():
        # The cases overflow and divide by zero on purpose.
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    for case in cases:
        nodes = case.model.graph.node
        values = [*case.model.graph.input, *case.model.graph.output]
        if nodes and all(n.domain in ("", "ai.onnx") and n.op_type in OPERATORS for n in nodes):
            if all(v.type.HasField("tensor_type") for v in values):
                yield case


def message(value, name):
    """A value of a case, which is an array or a message already, as a message."""
    return value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value), name)


def write(folder):
    required = set((HERE / "onnxruntime.txt").read_text().split())
    shutil.rmtree(folder, ignore_errors=True)
    index = []
    for case in selected():
        place = folder / case.name
        place.mkdir(parents=True)
        (place / "model.onnx").write_bytes(case.model.SerializeToString())
        for number, data in enumerate(case.data_sets):
            for kind, values, infos in zip(("input", "output"), data, (case.model.graph.input, case.model.graph.output)):
                for j, value in enumerate(values):
                    file = place / f"data_{number}" / f"{kind}_{j}.pb"
                    file.parent.mkdir(exist_ok=True)
                    file.write_bytes(message(value, infos[j].name).SerializeToString())
        index.append({
            "name": case.name, "operators": sorted({n.op_type for n in case.model.graph.node}),
            "rtol": case.rtol, "atol": case.atol, "required": case.name in required,
            "data": [[len(inputs), len(outputs)] for inputs, outputs in case.data_sets],
        })  # fmt: skip
    missing = required - {case["name"] for case in index}
    if missing:
        sys.exit(f"prepare.py: onnx {onnx.__version__} has no cases {sorted(missing)}")
    (folder / "cases.json").write_text(json.dumps({"cases": index}, indent=1) + "\n")
    print(f"{len(index)} cases of onnx {onnx.__version__}, {len(required)} of them required")


def passes(case):
    """Whether ONNX Runtime, without optimisations, gives what the case expects."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(case.model.SerializeToString(), options, ["CPUExecutionProvider"])
        for inputs, outputs in case.data_sets:
            names = [value.name for value in session.get_inputs()]
            given = dict(zip(names, (numpy_helper.to_array(message(value, "")) for value in inputs)))
            for got, wanted in zip(session.run(None, given), outputs, strict=True):
                wanted = numpy_helper.to_array(message(wanted, ""))
                if got.dtype != wanted.dtype or got.shape != wanted.shape:
                    return False
                np.testing.assert_allclose(got, wanted, rtol=case.rtol, atol=case.atol)
    except Exception:  # onnxruntime has many kinds for what it does not do
        return False
    return True


def write_required(file):
    names = []
    for case in selected():
        values = [*case.model.graph.input, *case.model.graph.output]
        if {v.type.tensor_type.elem_type for v in values} <= COMMON_TYPES and passes(case):
            names.append(case.name)
    file.write_text("".join(name + "\n" for name in sorted(names)))
    print(f"{len(names)} cases")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--onnxruntime":
        write_required(pathlib.Path(sys.argv[2]))
    elif len(sys.argv) == 2 and not sys.argv[1].startswith("-"):
        write(pathlib.Path(sys.argv[1]))
    else:
        sys.exit(__doc__)
