"""The client against the real server, where APUS_BINARY names the `apus` executable.

The right answers were computed in double precision when the models were trained: models/samples.
"""

import json
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

import apus

MODELS = Path(__file__).resolve().parents[3] / "models"
TOLERANCE = 2e-6
START_SECONDS = 60

pytestmark = pytest.mark.skipif("APUS_BINARY" not in os.environ, reason="APUS_BINARY names no apus")


@pytest.fixture(scope="module")
def addresses():
    """Where one server listens: a Unix socket and a free port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        tcp = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "apus.sock")
        command = [os.environ["APUS_BINARY"], "serve", "--listen", tcp, "--listen", f"unix:{path}"]
        server = subprocess.Popen([*command, "--models", str(MODELS / "repository")])
        try:
            limit = time.monotonic() + START_SECONDS
            while not os.path.exists(path):
                assert server.poll() is None, "the server ended"
                assert time.monotonic() < limit, "the server's socket did not appear"
                time.sleep(0.01)
            yield {"unix": f"unix:{path}", "tcp": tcp}
            server.terminate()
            assert server.wait(20) == 0, "SIGTERM ends a server with status 0"
        finally:
            server.kill()
            server.wait()


@pytest.fixture(params=["unix", "tcp"])
def address(addresses, request):
    return addresses[request.param]


@pytest.fixture
def client(address):
    with apus.Client(address) as client:
        yield client


class Sample:
    def __init__(self, name):
        expected = json.loads((MODELS / "samples" / f"{name}.expected.json").read_text())
        self.model, self.labels = expected["model"], expected["labels"]
        self.inputs = np.load(MODELS / "samples" / expected["inputs"])
        self.probabilities = np.array(expected["probabilities"])
        self.scores = np.array(expected["scores"])


@pytest.fixture(params=["digits", "texts"])
def sample(request):
    return Sample(request.param)


def difference(found, expected):
    assert found.shape == expected.shape
    return np.abs(found.astype(np.float64) - expected).max()


def test_one_input(client, sample):
    for row, expected in zip(sample.inputs, sample.probabilities):
        result = client.classify(sample.model, row)
        assert difference(result.probabilities, expected) <= TOLERANCE
        assert result.indices.tolist() == list(range(len(sample.labels)))
        assert result.labels == sample.labels
        assert result.scores is None
        assert result.version == 1
        assert result.time.batch_rows >= 1
        assert result.time.total_ns >= result.time.compute_ns > 0
        assert 0 <= result.load <= 1


def test_the_single_samples():
    for single, batch in (("digit", "digits"), ("text", "texts")):
        one, many = (np.load(MODELS / "samples" / f"{name}.npy") for name in (single, batch))
        assert one.dtype == np.float32 and np.array_equal(one, many[0])


def test_batches(client, sample):
    for rows in (1, 2, 7, 16):
        result = client.classify(sample.model, sample.inputs[:rows])
        assert difference(result.probabilities, sample.probabilities[:rows]) <= TOLERANCE
        assert result.labels == [sample.labels] * rows


def test_a_large_batch(client, sample):
    result = client.classify(sample.model, np.tile(sample.inputs, (60, 1)), labels=False)
    assert difference(result.probabilities, np.tile(sample.probabilities, (60, 1))) <= TOLERANCE


def test_pipelined(client, sample):
    rows = [sample.inputs[n % 16] for n in range(500)]
    for n, result in enumerate(client.classify_many(sample.model, rows, labels=False)):
        assert difference(result.probabilities, sample.probabilities[n % 16]) <= TOLERANCE


def test_top(client):
    sample = Sample("digits")
    result = client.classify("digits", sample.inputs, top=3)
    order = np.argsort(-sample.probabilities, axis=1)[:, :3]
    assert result.indices.tolist() == order.tolist()
    assert difference(result.probabilities, np.take_along_axis(sample.probabilities, order, 1)) <= TOLERANCE
    assert result.labels == [[sample.labels[index] for index in row] for row in order]


def test_more_top_than_classes(client, sample):
    result = client.classify(sample.model, sample.inputs[0], top=1000)
    assert sorted(result.indices.tolist()) == list(range(len(sample.labels)))
    assert (np.diff(result.probabilities) <= 0).all()


def test_scores(client, sample):
    result = client.classify(sample.model, sample.inputs, top=1, scores=True)
    scale = np.abs(sample.scores).max()
    assert difference(result.scores, sample.scores) <= TOLERANCE * scale
    assert result.probabilities.shape == (16, 1)


def test_an_unknown_model(client):
    with pytest.raises(apus.StatusError) as caught:
        client.classify("unknown", [1.0])
    assert caught.value.code is apus.Code.NOT_FOUND
    with pytest.raises(apus.StatusError) as caught:
        client.classify("digits", np.zeros(64, np.float32), version=99)
    assert caught.value.code is apus.Code.NOT_FOUND
    with pytest.raises(apus.StatusError) as caught:
        client.get_model("unknown")
    assert caught.value.code is apus.Code.NOT_FOUND


@pytest.mark.parametrize("shape", [(63,), (65,), (2, 63), (8, 8)])
def test_a_wrong_shape(client, shape):
    with pytest.raises(apus.StatusError) as caught:
        client.classify("digits", np.zeros(shape, np.float32))
    assert caught.value.code is apus.Code.INVALID_ARGUMENT
    assert client.health().status is apus.ServingStatus.SERVING


def test_health(client):
    assert client.health().status is apus.ServingStatus.SERVING
    assert client.health("digits").status is apus.ServingStatus.SERVING


def test_models(client):
    models = client.models()
    assert [(model.name, model.version) for model in models] == [("digits", 1), ("textclassifier", 1)]
    for model in models:
        assert model.state is apus.ModelState.READY
        assert len(model.digest) == 32
    digits = client.get_model("digits")
    assert digits.labels == [str(digit) for digit in range(10)]
    assert digits.inputs[0].shape == [-1, 64]
    assert digits.inputs[0].dtype is apus.DataType.FLOAT32
    assert digits.parameters == 64 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10
    assert digits.max_batch_rows == 1024
    assert client.get_model("textclassifier").labels == ["negative", "positive"]


def test_stats(client):
    def of_digits():
        stats = client.stats()
        return stats.server, next(model for model in stats.models if model.model == "digits")

    client.classify("digits", np.zeros(64, np.float32))
    server, before = of_digits()
    client.classify("digits", np.zeros((5, 64), np.float32))
    later_server, after = of_digits()
    assert after.requests_total == before.requests_total + 1
    assert after.rows_total == before.rows_total + 5
    assert later_server.requests_total >= server.requests_total + 2
    assert later_server.uptime_ns > server.uptime_ns > 0
    assert server.connections_open >= 1


def test_two_connections(address, sample):
    with apus.Client(address) as first, apus.Client(address) as second:
        for client in (first, second, first):
            result = client.classify(sample.model, sample.inputs)
            assert difference(result.probabilities, sample.probabilities) <= TOLERANCE
