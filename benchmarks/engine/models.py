"""Models that the engine is measured with, as ONNX files of seeded random weights: opset 17, any batch.

Needs onnx and numpy. Each function writes one file; `python3 models.py DIR` writes all.
"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from trees import trees

OPSET = 17


class Builder:
  """Collects nodes and weights of a chain of layers; each method gives the name of its output."""

  def __init__(self, name, seed, input_shape):
    self.name = name
    self.random = np.random.default_rng(seed)
    self.input_shape = input_shape
    self.nodes = []
    self.weights = []

  def constant(self, array):
    name = f"w{len(self.weights)}"
    self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
    return name

  def normal(self, shape, scale):
    return self.constant((self.random.standard_normal(shape) * scale).astype(np.float32))

  def node(self, operation, inputs, **attributes):
    output = f"v{len(self.nodes)}"
    self.nodes.append(helper.make_node(operation, inputs, [output], name=output, **attributes))
    return output

  def conv(self, x, channels, outputs, kernel, stride=1, pad=0, groups=1):
    fan_in = channels // groups * kernel * kernel
    weights = self.normal((outputs, channels // groups, kernel, kernel), (2 / fan_in) ** 0.5)
    return self.node(
      "Conv", [x, weights, self.normal((outputs,), 0.1)], kernel_shape=[kernel, kernel],
      strides=[stride, stride], pads=[pad] * 4, group=groups)

  def linear(self, x, inputs, outputs):
    weights = self.normal((outputs, inputs), (2 / inputs) ** 0.5)
    return self.node("Gemm", [x, weights, self.normal((outputs,), 0.1)], transB=1)

  def relu(self, x):
    return self.node("Relu", [x])

  def max_pool(self, x, kernel, stride, pad=0):
    return self.node(
      "MaxPool", [x], kernel_shape=[kernel, kernel], strides=[stride, stride], pads=[pad] * 4)

  def save(self, output, outputs, path):
    graph = helper.make_graph(
      self.nodes, self.name,
      [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *self.input_shape])],
      [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", outputs])], self.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def lenet(path):
  """LeNet-5 with ReLU and max pools (LeCun et al. 1998): 28 x 28 grey pixels, 10 classes."""
  b = Builder("lenet", 1, [1, 28, 28])
  x = b.max_pool(b.relu(b.conv("x", 1, 6, 5)), 2, 2)
  x = b.max_pool(b.relu(b.conv(x, 6, 16, 5)), 2, 2)
  x = b.node("Flatten", [x])
  x = b.relu(b.linear(x, 256, 120))
  x = b.relu(b.linear(x, 120, 84))
  b.save(b.linear(x, 84, 10), 10, path)


def resnet18(path):
  """ResNet-18 (He et al., arXiv:1512.03385), BatchNorm folded: 224 x 224 pixels, 3 colours, 1000 classes."""
  b = Builder("resnet18", 2, [3, 224, 224])
  x = b.max_pool(b.relu(b.conv("x", 3, 64, 7, 2, 3)), 3, 2, 1)
  channels = 64
  for outputs, first_stride in [(64, 1), (128, 2), (256, 2), (512, 2)]:
    for stride in [first_stride, 1]:
      y = b.relu(b.conv(x, channels, outputs, 3, stride, 1))
      y = b.conv(y, outputs, outputs, 3, 1, 1)
      if stride != 1:
        x = b.conv(x, channels, outputs, 1, stride)
      x = b.relu(b.node("Add", [y, x]))
      channels = outputs
  x = b.node("Flatten", [b.node("GlobalAveragePool", [x])])
  b.save(b.linear(x, 512, 1000), 1000, path)


def mlp(path, widths, seed):
  """Linear layers with ReLU between them."""
  b = Builder("mlp", seed, [widths[0]])
  x = "x"
  for index, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
    x = b.linear(x, inputs, outputs)
    if index < len(widths) - 2:
      x = b.relu(x)
  b.save(x, widths[-1], path)


def mlp1024(path):
  mlp(path, [1024, 1024, 1024, 10], 3)


def digits(path):
  """As the digits network of this repository."""
  mlp(path, [64, 128, 64, 10], 4)


def textclassifier(path):
  """The one layer of this repository's model of that name."""
  mlp(path, [100, 2], 5)


def quantise(path, to):
  """The same with weights of 8 bits and inputs quantised as they come, by ONNX Runtime's own tool."""
  from onnxruntime.quantization import QuantType, quantize_dynamic
  quantize_dynamic(path, to, weight_type=QuantType.QInt8)


if __name__ == "__main__":
  folder = pathlib.Path(sys.argv[1])
  folder.mkdir(parents=True, exist_ok=True)
  for make in [lenet, resnet18, mlp1024, digits, textclassifier, trees]:
    make(folder / f"{make.__name__}.onnx")
  for name in ["mlp1024", "digits"]:
    quantise(folder / f"{name}.onnx", folder / f"{name}-int8.onnx")
