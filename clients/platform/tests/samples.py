"""A small model whose answers numpy knows, and samples of it."""
import json
import pathlib
import time
import urllib.error
import urllib.request

import numpy as np

from conftest import write_safetensors

WIDTH, CLASSES = 4, 3


def weights(seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal((CLASSES, WIDTH)).astype("f4"), random.standard_normal(CLASSES).astype("f4")


def probabilities(rows, seed=0):
    weight, bias = (part.astype("f8") for part in weights(seed))
    scores = rows.astype("f8") @ weight.T + bias
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def inputs(count, seed=1, mean=0.0):
    return np.random.default_rng(seed).normal(mean, 1, (count, WIDTH)).astype("f4")


def make_sampled(folder, rows, change=None, seed=0, **others):
    """A version that ships `rows` as samples, whose probabilities `change` may falsify first."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weight, bias = weights(seed)
    write_safetensors(folder / "model.safetensors", {"0.weight": weight, "0.bias": bias})
    (folder / "model.yaml").write_text("architecture: {type: mlp, activation: none}\noutput: softmax\n")
    expected = probabilities(rows, seed).astype("f4")
    if change:
        change(expected)
    np.savez(folder / "samples.npz", inputs=rows, probabilities=expected, **others)
    return folder


def get(address, path, body=None):
    """What a server answers over HTTP, which it may begin to take a moment after its socket is there."""
    request = urllib.request.Request(f"http://{address}{path}", body)
    end = time.monotonic() + 20
    while True:
        try:
            return urllib.request.urlopen(request, timeout=20).read().decode()
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > end:
                raise
        time.sleep(0.02)


def metrics(address):
    """Every value of `/metrics`, by its name and labels as they are written."""
    text = get(address, "/metrics")
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def classify_over_http(address, model, row):
    return json.loads(get(address, f"/v1/models/{model}:classify", json.dumps({"inputs": [row.tolist()]}).encode()))
