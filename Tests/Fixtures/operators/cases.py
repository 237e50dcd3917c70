"""Cases of a single operator as JSON: a node, its inputs and the outputs that are expected.

Tensors hold their elements' bytes, little-endian, in base64, so that every number is exact.
"""
import base64
import json

import numpy
import onnx
from onnx import helper, numpy_helper

TYPES = {
    "float32": numpy.float32, "float64": numpy.float64, "int64": numpy.int64, "int32": numpy.int32,
    "int16": numpy.int16, "int8": numpy.int8, "uint8": numpy.uint8, "uint16": numpy.uint16,
    "uint32": numpy.uint32, "uint64": numpy.uint64, "bool": numpy.bool_,
}


def tensor(array):
    """A tensor, or null for an input that is left out."""
    if array is None:
        return None
    array = numpy.asarray(array)
    if str(array.dtype) not in TYPES:
        raise ValueError(f"a tensor of {array.dtype}")
    return {
        "type": str(array.dtype), "shape": list(array.shape),
        "data": base64.b64encode(numpy.ascontiguousarray(array).tobytes()).decode(),
    }


def attribute(proto):
    """An attribute by the name of its kind."""
    value = helper.get_attribute_value(proto)
    kinds = onnx.AttributeProto
    if proto.type == kinds.INT:
        return {"int": value}
    if proto.type == kinds.FLOAT:
        return {"floats": tensor(numpy.array([value], numpy.float32)), "isSingle": True}
    if proto.type == kinds.STRING:
        return {"string": value.decode()}
    if proto.type == kinds.INTS:
        return {"ints": list(value)}
    if proto.type == kinds.FLOATS:
        return {"floats": tensor(numpy.array(value, numpy.float32))}
    if proto.type == kinds.STRINGS:
        return {"strings": [text.decode() for text in value]}
    if proto.type == kinds.TENSOR:
        return {"tensor": tensor(numpy_helper.to_array(value))}
    raise ValueError(f"the attribute {proto.name}")


def entry(name, node, opset, inputs, outputs, tolerance=1e-5, absolute=1e-6):
    """A case of a node; `inputs` and `outputs` hold an array, or None, for each that the node lists."""
    return {
        "name": name, "domain": node.domain, "operator": node.op_type, "opset": opset,
        "attributes": {proto.name: attribute(proto) for proto in node.attribute},
        "inputs": [tensor(array) for array in inputs], "outputs": [tensor(array) for array in outputs],
        "relative": tolerance, "absolute": absolute,
    }


def write(path, cases):
    """One case a line."""
    with open(path, "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
