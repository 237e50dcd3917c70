"""Writes a classifier of random decision trees, as gradient boosting makes them."""

import random

import onnx
from onnx import TensorProto, helper


def _nodes(tree, depth, features, rng, ragged):
  """A tree's nodes in ONNX's order: (id, feature or None, threshold, true, false)."""
  nodes = []

  def grow(level):
    place = len(nodes)
    nodes.append(None)
    if level == depth or (level > 1 and rng.random() < ragged):
      nodes[place] = (place, None, 0.0, 0, 0)
    else:
      feature, threshold = rng.randrange(features), rng.gauss(0, 1)
      first = grow(level + 1)
      second = grow(level + 1)
      nodes[place] = (place, feature, threshold, first, second)
    return place

  grow(0)
  return nodes


def trees(path, count=500, depth=8, features=30, classes=2, seed=7, ragged=0.0, mode="BRANCH_LEQ",
          missing=False, forest=False):
  """Writes `count` trees to `path`.

  classes: with two, all leaves weigh for the second class; with more, each tree is one class's.
  ragged: how likely a path ends at each level.
  missing: whether NaN takes the true branch of every second node.
  forest: each leaf has a weight for every class, as random forests have.
  """
  rng = random.Random(seed)
  attributes = {name: [] for name in (
    "nodes_treeids", "nodes_nodeids", "nodes_modes", "nodes_featureids", "nodes_values", "nodes_truenodeids",
    "nodes_falsenodeids", "nodes_missing_value_tracks_true", "class_treeids", "class_nodeids", "class_ids",
    "class_weights")}
  for tree in range(count):
    for node, feature, threshold, first, second in _nodes(tree, depth, features, rng, ragged):
      row = (tree, node, "LEAF" if feature is None else mode, feature or 0, threshold, first, second,
             int(missing and node % 2 == 0))
      for name, value in zip(list(attributes)[:8], row):
        attributes[name].append(value)
      if feature is None:
        targets = range(classes) if forest else [1 if classes == 2 else tree % classes]
        for target in targets:
          attributes["class_treeids"].append(tree)
          attributes["class_nodeids"].append(node)
          attributes["class_ids"].append(target)
          attributes["class_weights"].append(rng.random() / count if forest else rng.gauss(0, 0.1))
  transform = "NONE" if forest else "LOGISTIC" if classes == 2 else "SOFTMAX"
  node = helper.make_node(
    "TreeEnsembleClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml",
    classlabels_int64s=list(range(classes)), post_transform=transform, **attributes)
  graph = helper.make_graph(
    [node], "trees", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, features])],
    [helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
     helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, classes])])
  model = helper.make_model(
    graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=8)
  onnx.save(model, path)
