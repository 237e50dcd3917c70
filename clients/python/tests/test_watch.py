"""Client.watch_health, against scripted servers and the real one."""

import os
import struct
import time
import subprocess
import tempfile

import pytest

import apus
from apus import messages, wire
from apus.messages import Method, ServingStatus
from fake import serving
from test_server import MODELS, START_SECONDS

ANSWER, GOAWAY = 2, 4
STATUS, MORE = 2, 4


def frame(kind, id, flags, message, method=Method.WATCH_HEALTH):
    head = bytearray(wire.encode_frame(kind, method, id, wire.encode(message)))
    struct.pack_into("<I", head, 20, flags)
    return bytes(head)


def state(status, flags=MORE, id=1, method=Method.WATCH_HEALTH):
    return frame(ANSWER, id, flags, messages.HealthResponse(status), method)


def asked(peer):
    method, id, metadata, body = peer.request()
    assert (method, id, body) == (Method.WATCH_HEALTH, 1, b"")
    return wire.decode(messages.HealthRequest, metadata).model


def test_states_until_the_drain():
    def script(peer):
        assert asked(peer) == "digits"
        peer.send(state(ServingStatus.SERVING) + state(ServingStatus.NOT_SERVING))
        peer.send(state(ServingStatus.SERVING))
        peer.send(state(ServingStatus.NOT_SERVING, 0) + frame(GOAWAY, 0, 0, messages.GoAway("end"), 0))
        assert peer.ended()

    with serving(script) as server:
        states = [health.status.name for health in apus.Client(server.address).watch_health("digits")]
    assert states == ["SERVING", "NOT_SERVING", "SERVING", "NOT_SERVING"]


def test_closing_the_iterator_closes_the_connection():
    def script(peer):
        asked(peer)
        peer.send(state(ServingStatus.SERVING))
        assert peer.ended()

    with serving(script) as server:
        watch = apus.Client(server.address).watch_health()
        assert next(watch).status == ServingStatus.SERVING
        watch.close()


def test_the_time_out_is_for_the_first_value_alone():
    def silent(peer):
        asked(peer)
        assert peer.ended()

    def late(peer):
        asked(peer)
        peer.send(state(ServingStatus.SERVING))
        time.sleep(0.5)
        peer.send(state(ServingStatus.NOT_SERVING, 0))

    with serving(silent, late) as server:
        with pytest.raises(apus.DeadlineExceeded):
            next(apus.Client(server.address).watch_health(timeout=0.1))
        assert len(list(apus.Client(server.address).watch_health(timeout=0.4))) == 2


@pytest.mark.parametrize("ending, error", [
    (frame(ANSWER, 1, STATUS, messages.Status(7, "no", "ACCESS_DENIED")), apus.PermissionDenied),
    (frame(ANSWER, 0, STATUS, messages.Status(8, "no", "MEMORY_EXHAUSTED"), 0), apus.ResourceExhausted),
    (state(ServingStatus.SERVING, id=2), apus.ProtocolError),
    (state(ServingStatus.SERVING, method=Method.HEALTH), apus.ProtocolError),
    (b"", apus.ConnectionLost),
])
def test_endings(ending, error):
    def script(peer):
        asked(peer)
        peer.send(state(ServingStatus.SERVING) + ending)

    with serving(script) as server:
        watch = apus.Client(server.address).watch_health()
        assert next(watch).status == ServingStatus.SERVING
        with pytest.raises(error):
            next(watch)


@pytest.mark.skipif("APUS_BINARY" not in os.environ, reason="APUS_BINARY names no apus")
def test_the_real_server():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        command = [os.environ["APUS_BINARY"], "serve", "--listen", f"unix:{path}"]
        server = subprocess.Popen([*command, "--models", str(MODELS / "repository")])
        try:
            limit = time.monotonic() + START_SECONDS
            while not os.path.exists(path):
                assert server.poll() is None and time.monotonic() < limit
                time.sleep(0.01)
            client = apus.Client(f"unix:{path}")
            unknown = client.watch_health("nobody")
            assert next(unknown).status == ServingStatus.SERVICE_UNKNOWN
            states = []
            for health in client.watch_health():
                states.append(health.status.name)
                if health.status == ServingStatus.SERVING:
                    assert client.health().status == ServingStatus.SERVING
                    client.close()
                    server.terminate()
            assert states == ["SERVING", "NOT_SERVING"]
            assert [health.status.name for health in unknown] == ["NOT_SERVING"]
            assert server.wait(20) == 0
        finally:
            server.kill()
            server.wait()
