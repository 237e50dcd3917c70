"""The tutorials' model server: Flask, one route, Linear(100, 2) and softmax. numpy computes, which is quicker for so
small a model than PyTorch.
"""

import numpy
from flask import Flask, jsonify, request

generator = numpy.random.default_rng(1)
weight = generator.standard_normal((100, 2), dtype=numpy.float32)
bias = generator.standard_normal(2, dtype=numpy.float32)
app = Flask(__name__)


@app.route("/classify", methods=["POST"])
def classify():
  row = numpy.asarray(request.get_json()["text"], dtype=numpy.float32)
  logits = row.reshape(-1, 100) @ weight + bias
  powers = numpy.exp(logits - logits.max(axis=1, keepdims=True))
  return jsonify((powers / powers.sum(axis=1, keepdims=True)).tolist())
