"""The client against the real server, where APUS_BINARY names the `apus` executable.

The right answers were computed in double precision when the models were trained: models/samples.
"""

import hashlib
import json
import os
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

import apus
from certificates import Authority

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


def reviews():
    return json.loads((MODELS / "samples" / "reviews.expected.json").read_text(encoding="utf-8"))


def test_texts(client):
    expected = reviews()
    texts, probabilities = expected["texts"], np.array(expected["probabilities"])
    assert len(texts) == 200
    for text, row in zip(texts[:20], probabilities):
        result = client.classify("sentiment", text=text)
        assert difference(result.probabilities, row) <= TOLERANCE
        assert result.labels == expected["labels"]
    result = client.classify("sentiment", text=texts, top=1)
    assert difference(result.probabilities, probabilities.max(axis=1, keepdims=True)) <= TOLERANCE
    assert result.labels == [[expected["labels"][row.argmax()]] for row in probabilities]
    assert client.classify("sentiment", text=["", ""]).probabilities.shape == (2, 2)


def test_a_model_of_texts(client):
    sentiment = client.get_model("sentiment")
    assert sentiment.inputs[0].dtype is apus.DataType.UTF8 and sentiment.inputs[0].shape == [-1]
    vectors = np.zeros((3, 1024), np.float32)
    empty = client.classify("sentiment", text=["", "", ""])
    assert np.array_equal(client.classify("sentiment", vectors).probabilities, empty.probabilities)
    for call, fits in (
            (lambda: client.classify("digits", text="three"), r"float32 of shape \(rows, 64\)"),
            (lambda: client.classify("sentiment", [1.0]), r"texts \(utf8\), or float32 of shape \(rows, 1024\)")):
        with pytest.raises(apus.StatusError, match=fits) as caught:
            call()
        assert caught.value.code is apus.Code.INVALID_ARGUMENT
    assert client.health().status is apus.ServingStatus.SERVING


def test_health(client):
    assert client.health().status is apus.ServingStatus.SERVING
    assert client.health("digits").status is apus.ServingStatus.SERVING


def test_models(client):
    models = client.models()
    assert [(model.name, model.version) for model in models] == [
        ("digits", 1), ("sentiment", 1), ("textclassifier", 1)]
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


POLICY = """
identities:
  token:checkout: {models: ["digits"], methods: [classify, read], calls_per_second: 1000}
  token:slow: {models: ["*"], methods: [classify, read], calls_per_second: 1}
  token:old: {models: ["*"], methods: [classify, read]}
tokens:
  checkout: {hash: "sha256:%s", expires: 2030-01-01T00:00:00Z}
  slow: {hash: "sha256:%s", expires: 2030-01-01T00:00:00Z}
  old: {hash: "sha256:%s", expires: 2020-01-01T00:00:00Z}
"""
TOKENS = {name: "apus_test-token-of-" + name for name in ("checkout", "slow", "old")}


class Secured:
    """A server with TLS, certificates of its clients and a policy, and what a client needs to call it."""

    def __init__(self, folder):
        self.folder, self.log = folder, folder / "log"
        here, other = Authority(folder, "here"), Authority(folder, "other")
        self.ca, self.other_ca = here.file, other.file
        self.server = here.sign("server", "server", "IP:127.0.0.1")
        self.client = here.sign("client", "billing", "DNS:billing")
        self.stranger = other.sign("stranger", "billing", "DNS:billing")
        hashes = tuple(hashlib.sha256(token.encode()).hexdigest() for token in TOKENS.values())
        (folder / "policy.yaml").write_text(POLICY % hashes)

    def start(self):
        """The process, and its address from its log."""
        command = [os.environ["APUS_BINARY"], "serve", "--models", str(MODELS / "repository"),
                   "--listen", "tls://127.0.0.1:0", "--tls-cert", self.server[0], "--tls-key", self.server[1],
                   "--tls-client-ca", self.ca, "--policy", str(self.folder / "policy.yaml")]
        with open(self.log, "wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log)
        limit = time.monotonic() + START_SECONDS
        while not (found := re.search(r"listening on (tls://127\.0\.0\.1:\d+)", self.log.read_text())):
            if server.poll() is not None or time.monotonic() > limit:
                server.kill()
                pytest.fail(f"the server did not listen: {self.log.read_text()}")
            time.sleep(0.01)
        self.address = found[1]
        return server

    def connect(self, token=None, **options):
        """A client with everything that is asked for, or with the options that a test gives instead."""
        options = {"ca": self.ca, "cert": self.client[0], "key": self.client[1], **options}
        return apus.Client(self.address, token=TOKENS.get(token, token), **options)


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    help = subprocess.run([os.environ["APUS_BINARY"], "serve", "--help"], capture_output=True, text=True,
                          timeout=60, check=True)
    if "--tls-cert" not in help.stdout:
        pytest.skip("this apus has no TLS")
    secured = Secured(tmp_path_factory.mktemp("secured"))
    server = secured.start()
    try:
        yield secured
        server.terminate()
        assert server.wait(20) == 0, "SIGTERM ends a server with status 0"
        for token in TOKENS.values():
            assert token not in secured.log.read_text(), "a token is in the server's log"
    finally:
        server.kill()
        server.wait()


def test_tls_with_a_token(secured):
    sample = Sample("digits")
    with secured.connect("checkout") as client:
        for row, expected in zip(sample.inputs, sample.probabilities):
            assert difference(client.classify("digits", row).probabilities, expected) <= TOLERANCE
        rows = [sample.inputs[n % 16] for n in range(100)]
        for n, result in enumerate(client.classify_many("digits", rows, labels=False)):
            assert difference(result.probabilities, sample.probabilities[n % 16]) <= TOLERANCE
        result = client.classify("digits", np.tile(sample.inputs, (60, 1)), labels=False)
        assert difference(result.probabilities, np.tile(sample.probabilities, (60, 1))) <= TOLERANCE
        assert client.health("digits").status is apus.ServingStatus.SERVING


def test_a_reconnect_resumes_the_session(secured):
    with secured.connect("checkout") as client:
        reused = []
        for _ in range(3):
            client.health("digits")
            reused.append(client._connection._socket.session_reused)
            client.close()
        assert reused == [False, True, True]


def test_what_a_token_does_not_allow(secured):
    with secured.connect("checkout") as client:
        with pytest.raises(apus.PermissionDenied):
            client.classify("textclassifier", np.zeros(100, np.float32))
        assert client.classify("digits", np.zeros(64, np.float32)).version == 1, "the connection stays"


@pytest.mark.parametrize("token", ["apus_unknown", "old"])
def test_a_token_that_is_unknown_or_has_expired(secured, token):
    with secured.connect(token) as client:
        for _ in range(2):
            with pytest.raises(apus.Unauthenticated) as caught:
                client.classify("digits", np.zeros(64, np.float32))
            assert TOKENS.get(token, token) not in str(caught.value)


def test_a_caller_whom_the_policy_does_not_name(secured):
    with secured.connect() as client:
        with pytest.raises((apus.PermissionDenied, apus.Unauthenticated)):
            client.classify("digits", np.zeros(64, np.float32))


def test_more_calls_than_the_policy_allows(secured):
    with secured.connect("slow") as client:
        with pytest.raises(apus.ResourceExhausted) as caught:
            for _ in range(50):
                client.classify("digits", np.zeros(64, np.float32))
        assert 0 < caught.value.retry_after <= 1


def test_certificates(secured):
    with secured.connect("checkout", ca=secured.other_ca) as client:
        with pytest.raises(apus.CertificateError):
            client.health()
    with secured.connect("checkout", server_name="other.test") as client:
        with pytest.raises(apus.WrongName):
            client.health()
    with secured.connect("checkout", cert=None, key=None) as client:
        with pytest.raises(apus.ClientCertificateError):
            client.health()
    with secured.connect("checkout", cert=secured.stranger[0], key=secured.stranger[1]) as client:
        with pytest.raises(apus.ClientCertificateError):
            client.health()
