"""Lanes and regions of the real server, where APUS_BINARY names the `apus` executable."""

import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

import apus

MODELS = Path(__file__).resolve().parents[3] / "models"
TOLERANCE = 2e-6
SECONDS = 60
# Of a ring, so that a batch is longer.
RING_BYTES = 16 << 10

pytestmark = pytest.mark.skipif("APUS_BINARY" not in os.environ, reason="APUS_BINARY names no apus")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The socket of a server that opens lanes."""
    path = tmp_path_factory.mktemp("lane") / "s"
    small_rings = {**os.environ, "APUS_LIMITS_LANE_RING_BYTES": str(RING_BYTES)}
    server = subprocess.Popen([os.environ["APUS_BINARY"], "serve", "--models", str(MODELS / "repository"),
                               "--listen", f"unix:{path}"], env=small_rings)
    try:
        limit = time.monotonic() + SECONDS
        while not path.exists():
            assert server.poll() is None and time.monotonic() < limit, "the server did not start"
            time.sleep(0.01)
        skip_without_lanes(path)
        yield path
        server.terminate()
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.wait()


def skip_without_lanes(path):
    """The binary may be of a time before there were lanes; any other refusal fails the tests."""
    try:
        with apus.Client(f"shm:{path}", timeout=SECONDS) as client:
            client.health()
    except apus.ConnectError as error:
        if getattr(error.__cause__, "reason", "") == "METHOD_UNKNOWN":
            pytest.skip("the server of APUS_BINARY knows no lanes: OpenLane is METHOD_UNKNOWN")
        raise


@pytest.fixture(params=["shm", "auto"])
def client(path, request):
    always = request.param == "shm"
    with apus.Client(f"shm:{path}" if always else f"unix:{path}", timeout=SECONDS,
                     lane=None if always else "auto") as client:
        yield client


def samples():
    """Inputs of digits, and their right probabilities."""
    expected = json.loads((MODELS / "samples" / "digits.expected.json").read_text())
    return np.load(MODELS / "samples" / expected["inputs"]), np.array(expected["probabilities"])


def check(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found.astype(np.float64) - expected).max() <= TOLERANCE


def lanes(path):
    with apus.Client(f"unix:{path}", timeout=SECONDS) as client:
        return client.stats().server.lanes_open


def test_answers_are_those_of_the_socket(path, client):
    inputs, expected = samples()
    for _ in range(20):
        for row, probabilities in zip(inputs, expected):
            check(client.classify("digits", row).probabilities, probabilities)
    assert lanes(path) == 1
    with apus.Client(f"unix:{path}") as over_socket:
        assert client.classify("digits", inputs, top=3).labels \
            == over_socket.classify("digits", inputs, top=3).labels
        assert [model.name for model in client.models()] == [model.name for model in over_socket.models()]


def test_batches_larger_than_the_rings(client):
    inputs, expected = samples()
    for times in (40, 1, 64, 2):
        assert times < 40 or times * inputs.nbytes > 2 * RING_BYTES
        result = client.classify("digits", np.tile(inputs, (times, 1)), labels=False)
        check(result.probabilities, np.tile(expected, (times, 1)))


def test_many_calls_at_a_time(client):
    inputs, expected = samples()
    rows = [inputs[n % 16] for n in range(1000)]
    for n, result in enumerate(client.classify_many("digits", rows, labels=False)):
        check(result.probabilities, expected[n % 16])


def test_a_server_and_a_client_that_sleep_are_woken(client):
    inputs, expected = samples()
    for _ in range(5):
        check(client.classify("digits", inputs).probabilities, expected)
        time.sleep(0.05)


def test_regions(client):
    inputs, expected = samples()
    with client.region(1 << 20) as region:
        for rows in (1, 16):
            values = region.array((rows, 64), offset=4096)
            values[:] = inputs[:rows]
            check(client.classify("digits", values).probabilities, expected[:rows])
        rows = [region.array((16, 64), offset=4096)[n] for n in range(16)]
        for result, probabilities in zip(client.classify_many("digits", rows), expected):
            check(result.probabilities, probabilities)
        client.close()
        check(client.classify("digits", values).probabilities, expected)
    check(client.classify("digits", values).probabilities, expected)


def test_more_memory_than_the_server_looks_into(client):
    inputs, expected = samples()
    with client.region(1 << 40) as region:
        with pytest.raises(apus.ResourceExhausted) as caught:
            client.classify("digits", region.array((1, 64)))
        assert caught.value.reason == "REGION_LIMIT"
    check(client.classify("digits", inputs).probabilities, expected)


def test_a_lane_ends_with_its_client(path):
    with apus.Client(f"shm:{path}", timeout=SECONDS) as client:
        client.health()
        assert lanes(path) == 1
    limit = time.monotonic() + SECONDS
    while lanes(path):
        assert time.monotonic() < limit, "the lane is still open"
        time.sleep(0.01)
