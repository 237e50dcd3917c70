"""HAProxy's health check, which speaks Apus Health."""

import contextlib
import os
import re
import signal
import socket
import threading
from pathlib import Path

import pytest

import running
from fake import HEALTH, answer, frame, goaway, listening
from running import balancing, find, servers, wait_until

pytestmark = [
    pytest.mark.skipif("APUS_BINARY" not in os.environ, reason="APUS_BINARY names no apus"),
    pytest.mark.skipif(not find("haproxy"), reason="haproxy is not installed: apt-get install haproxy"),
]

CONFIGURATION = (running.ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text()
SENT = bytes.fromhex("".join(re.findall(r"tcp-check send-binary (\w+)", CONFIGURATION)))
EXPECTED = bytes.fromhex("".join(re.findall(r"tcp-check expect .* rbinary \^(\w+)", CONFIGURATION)))


def received(connected, size):
    data = b""
    while len(data) < size and (part := connected.recv(size - len(data))):
        data += part
    return data


def test_a_real_server_answers_the_check_as_expected(tmp_path):
    with servers(tmp_path, ["unix"]) as [server], socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(20)
        raw.connect(server.address.removeprefix("unix:"))
        raw.sendall(SENT)
        assert received(raw, 64) == EXPECTED + bytes(64 - len(EXPECTED))


def test_a_draining_server_is_taken_out_before_it_is_gone(tmp_path):
    with servers(tmp_path) as behind, balancing("haproxy", tmp_path, behind) as balancer:
        assert {state for state, _ in balancer.states().values()} == {"UP"}
        host, port = balancer.place.split(":")
        with contextlib.ExitStack() as stack:
            # Half a request on every server keeps each busy once it drains.
            halves = [stack.enter_context(socket.create_connection((host, int(port)), 20)) for _ in range(3)]
            request = frame(1, HEALTH, 7)
            for half in halves:
                half.sendall(request + request[:32])
                assert received(half, 64)[:4] == b"APUS"
            behind[0].signal(signal.SIGTERM)
            wait_until(lambda: balancer.states()["a"][0] == "DOWN", "HAProxy takes the draining server out")
            assert behind[0].is_running()
            assert balancer.states()["b"][0] == balancer.states()["c"][0] == "UP"
            # What was in flight is still answered, on every connection.
            for half in halves:
                half.sendall(request[32:])
            answers = [b"".join(iter(lambda: half.recv(1 << 16), b"")) if begins_with_goaway(half)
                       else received(half, 64) for half in halves]
            assert sum(b"NOT_PROCESSED" in found for found in answers) == 1
            assert sum(found[:48] == answer(HEALTH, 7, b"\x08\x01")[:48] for found in answers) == 2


def test_a_server_that_hangs_is_taken_out(tmp_path):
    with servers(tmp_path) as behind, balancing("haproxy", tmp_path, behind, edit=often) as balancer:
        behind[2].freeze()
        wait_until(lambda: balancer.states()["c"] == ("DOWN", "L7TOUT"), "HAProxy takes the server out")
        behind[2].signal(signal.SIGCONT)
        wait_until(lambda: balancer.states()["c"] == ("UP", "L7OK"), "HAProxy uses the server again")


@pytest.mark.parametrize("identities, state", [
    ("{anonymous: {models: [], methods: [read]}}", "UP"),
    ('{"token:x": {models: ["*"], methods: [classify]}}', "DOWN"),
], ids=["named", "not named"])
def test_a_policy_must_name_the_check(tmp_path, identities, state):
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"identities: {identities}\ntokens: {{x: {{hash: \"sha256:{'0' * 64}\"}}}}\n")
    policy.chmod(0o600)
    with servers(tmp_path, ["tcp"] * 3, ["--policy", str(policy)]) as behind:
        with balancing("haproxy", tmp_path, behind, edit=often) as balancer:
            assert {found for found, _ in balancer.states().values()} == {state}


def begins_with_goaway(connected):
    """Whether the first frame that waits is a goaway."""
    return connected.recv(6, socket.MSG_PEEK)[5] == 4


class Stub:
    """A server that answers every check with the bytes in `answer`."""

    number = 0

    def __init__(self, listener, address):
        self.listener, self.answer = listener, b""
        self.haproxy_place = "unix@" + address.removeprefix("unix:")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                connected, _ = self.listener.accept()
                with connected:
                    connected.settimeout(5)
                    if received(connected, 64) == SENT:
                        connected.sendall(self.answer)
                        connected.recv(1)


def often(text):
    """Checks ten times as often as shipped, so that tests do not wait."""
    text = running.replaced(text, "timeout check 1s", "timeout check 200ms")
    return running.replaced(text, "check inter 1s", "check inter 100ms")


SERVING = answer(HEALTH, 1, b"\x08\x01")


@pytest.mark.parametrize("bad", [
    pytest.param(answer(HEALTH, 1, b"\x08\x02"), id="not serving"),
    pytest.param(answer(HEALTH, 1, b"\x08\x02\x12\x08draining"), id="not serving, with a detail"),
    pytest.param(answer(HEALTH, 1), id="unknown"),
    pytest.param(goaway(), id="goaway"),
    pytest.param(goaway() + SERVING, id="goaway before serving"),
    pytest.param(answer(HEALTH, 1, b"\x08\x0e", flags=2), id="an error"),
    pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(64), id="not Apus"),
])
def test_any_other_answer_takes_a_server_out(tmp_path, bad):
    with contextlib.ExitStack() as stack:
        stubs = [Stub(*stack.enter_context(listening("unix"))) for _ in range(3)]
        for stub in stubs:
            stub.answer = SERVING
        balancer = stack.enter_context(balancing("haproxy", tmp_path, stubs, edit=often))
        assert set(balancer.states().values()) == {("UP", "L7OK")}
        stubs[1].answer = bad
        wait_until(lambda: balancer.states()["b"][0] == "DOWN", "HAProxy takes the server out")
        assert balancer.states()["b"][1] == "L7RSP"
        assert balancer.states()["a"] == balancer.states()["c"] == ("UP", "L7OK")
        stubs[1].answer = SERVING
        wait_until(lambda: balancer.states()["b"][0] == "UP", "HAProxy uses the server again")
