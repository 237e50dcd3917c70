"""Writes two classifiers as scikit-learn's pipelines become ONNX; needs the package onnx.

scaled.onnx: StandardScaler and LogisticRegression with ZipMap, 6 features, 3 classes.
normalized.onnx: Normalizer and SVC with probabilities, 6 features, 3 classes of 12 support vectors.
"""

import pathlib
import random

import onnx
from onnx import TensorProto, helper

HERE = pathlib.Path(__file__).resolve().parent
FEATURES, CLASSES = 6, 3
RNG = random.Random(7)


def numbers(count):
  return [RNG.gauss(0, 1) for _ in range(count)]


def node(name, inputs, outputs, **attributes):
  return helper.make_node(name, inputs, outputs, domain="ai.onnx.ml", **attributes)


def write(name, nodes, output):
  graph = helper.make_graph(
    nodes, name, [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, FEATURES])],
    [helper.make_tensor_value_info("label", TensorProto.INT64, [None]), output])
  opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
  onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), HERE / f"{name}.onnx")


maps = helper.make_sequence_type_proto(
  helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])))
write("scaled", [
  node("Scaler", ["x"], ["scaled"], offset=numbers(FEATURES), scale=numbers(FEATURES)),
  node("LinearClassifier", ["scaled"], ["label", "scores"], classlabels_ints=list(range(CLASSES)),
       coefficients=numbers(FEATURES * CLASSES), intercepts=numbers(CLASSES), post_transform="SOFTMAX"),
  node("ZipMap", ["scores"], ["probabilities"], classlabels_int64s=list(range(CLASSES))),
], helper.make_value_info("probabilities", maps))
vectors = 4 * CLASSES
write("normalized", [
  node("Normalizer", ["x"], ["normalized"], norm="L2"),
  node("SVMClassifier", ["normalized"], ["label", "probabilities"], classlabels_ints=list(range(CLASSES)),
       kernel_type="RBF", kernel_params=[0.5, 0.0, 3.0], vectors_per_class=[4] * CLASSES,
       support_vectors=numbers(vectors * FEATURES), coefficients=numbers(vectors * (CLASSES - 1)),
       rho=numbers(CLASSES), prob_a=[-2.0] * CLASSES, prob_b=[0.0] * CLASSES),
], helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, CLASSES]))
