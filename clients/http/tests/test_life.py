"""The life of a server with HTTP, as seen from outside: its start, its end, its death, and what callers leave behind."""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
from collections import Counter

import numpy as np
import pytest

from certificates import Authority
from serving import DIGIT, DIGITS, MODELS, SECONDS, TOLERANCE, Server, head, wait_until

CLASSIFY = "/v1/models/digits:classify"
CALL = head("POST", CLASSIFY, DIGIT) + DIGIT
HEAD = len(CALL) - len(DIGIT)
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def refuses(server):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", server.port)) != 0


def next_answer(raw):
    """The next answer, or None where the connection has ended instead."""
    try:
        return raw.answer() if raw.file.peek(1) else None
    except ConnectionError:
        return None


def is_ended(raw):
    """Whether a further request finds no answer any more."""
    try:
        raw.request("GET", "/healthz")
    except ConnectionError:
        return True
    return next_answer(raw) is None


class Callers:
    """Connections that call, each from a thread of its own, until the server ends them."""

    def __init__(self, server, count):
        self.server, self.statuses, self.ends = server, Counter(), Counter()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        with self.server.connect() as raw:
            end = None
            while end is None:
                try:
                    raw.send(CALL)
                    answer = next_answer(raw)
                except ConnectionError:
                    answer = None
                with self._lock:
                    if answer:
                        self.statuses[answer.status] += 1
                if answer is None:
                    end = "no answer"
                elif answer.headers["connection"] == "close":
                    end = "said" if raw.is_closed() else "said, and more came"
            with self._lock:
                self.ends[end] += 1

    def wait(self):
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive(), "a caller still waits"


def logged(folder):
    lines = [json.loads(line) for line in (folder / "access.log").read_text().splitlines()]
    return [line for line in lines if line["message"] == "call"]


def logging(folder):
    return {"APUS_LOG_ACCESS_PATH": str(folder / "access.log"), "APUS_DEFAULT_MODEL": "digits"}


# Its end.

def test_sigterm_under_load_loses_no_answer(tmp_path):
    """What the server took it has answered, and the access log knows what it took."""
    count = 32
    with Server(tmp_path, variables=logging(tmp_path)) as server:
        callers = Callers(server, count)
        wait_until(lambda: callers.statuses[200] > 300, "calls are answered")
        server.signal(signal.SIGTERM)
        callers.wait()
        server.ends()
    assert set(callers.statuses) == {200}
    assert [line["code"] for line in logged(tmp_path)] == ["OK"] * callers.statuses[200]
    # A connection that was quiet for a time is closed, and a call that crosses that was not taken.
    assert set(callers.ends) <= {"said", "no answer"} and sum(callers.ends.values()) == count
    assert callers.ends["said"] > 0


def test_sigterm_while_connections_come_is_a_drain(tmp_path):
    """Callers with a connection for each call, as proxies without keep-alive are."""
    for number in range(8):
        folder = tmp_path / str(number)
        folder.mkdir()
        with Server(folder, variables={"APUS_HTTP_THREADS": "4"}) as server:
            answered, stop = threading.Semaphore(0), threading.Event()

            def connect_and_call():
                while not stop.is_set():
                    try:
                        with server.connect() as raw:
                            raw.send(CALL)
                            if next_answer(raw):
                                answered.release()
                    except ConnectionError:
                        pass

            threads = [threading.Thread(target=connect_and_call) for _ in range(8)]
            for thread in threads:
                thread.start()
            try:
                for _ in range(50):
                    assert answered.acquire(timeout=SECONDS)
                server.signal(signal.SIGTERM)
                status = server.process.wait(SECONDS)
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            assert status == 0, f"drain {number}"
            assert "ERROR" not in server.log.read_text()


def test_a_request_that_has_begun_is_answered_after_sigterm(tmp_path):
    bodies = {"all but its last byte": len(CALL) - 1, "its head": HEAD}
    with Server(tmp_path) as server:
        begun = {name: server.connect() for name in bodies}
        quiet = server.connect()
        for name, raw in begun.items():
            raw.send(CALL[:bodies[name]])
        wait_until(lambda: is_read(server, *begun.values()), "the server has read the halves")
        server.signal(signal.SIGTERM)
        assert quiet.is_closed(), "a quiet connection is closed first"
        assert refuses(server)
        for name, raw in begun.items():
            raw.send(CALL[bodies[name]:])
            answer = raw.answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close"), name
            assert raw.is_closed()
            raw.close()
        quiet.close()
        server.ends()


def test_after_kill_callers_know_at_once_and_a_new_server_serves(tmp_path):
    with Server(tmp_path) as server:
        callers = Callers(server, 8)
        half = server.connect()
        half.send(CALL[:-1])
        wait_until(lambda: callers.statuses[200] > 100, "calls are answered")
        server.kill()
        callers.wait()
        assert callers.ends == {"no answer": 8} and set(callers.statuses) == {200}
        assert half.is_closed()
        half.close()
        # The same port, and the same socket file for RPC.
        server.start()
        with server.connect() as raw:
            raw.send(CALL)
            assert raw.answer().status == 200
        assert server.stats(model="digits")["models"][0]["requests_total"] == 1


# Its start.

def serve(program, folder, place):
    return subprocess.run([program, "serve", "--threads", "1", "--models", str(MODELS / "repository"),
                           "--listen", f"unix:{folder}/second.sock", "--http", place],
                          capture_output=True, text=True, timeout=SECONDS, check=False)


def test_a_port_in_use_is_named(server, tmp_path):
    done = serve(os.environ["APUS_BINARY"], tmp_path, f"127.0.0.1:{server.port}")
    own = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert own == [f"apus: serve HTTP on http://127.0.0.1:{server.port}: Address already in use"]
    assert (done.returncode, done.stdout) == (1, "")
    assert not (tmp_path / "second.sock").exists()
    with server.connect() as raw:
        raw.send(CALL)
        assert raw.answer().status == 200


def test_without_the_gateway_it_says_what_is_missing(server, tmp_path):
    alone = tmp_path / "apus"
    shutil.copy(os.environ["APUS_BINARY"], alone)
    try:
        done = serve(str(alone), tmp_path, f"127.0.0.1:{server.port}")
    finally:
        alone.unlink()
    assert done.stderr == (f"apus: {tmp_path}/apus-gateway, which serves HTTP, cannot be run: "
                           "No such file or directory; install it beside apus\n")
    assert (done.returncode, done.stdout) == (1, "")


# What it counts and logs.

def infer(row):
    return {"inputs": [{"name": "input", "shape": [1, 64], "datatype": "FP32", "data": row}]}


def test_calls_by_every_route_are_counted(tmp_path):
    row = DIGITS.inputs[0].ravel().tolist()
    calls = [(CLASSIFY, {"inputs": row}), ("/classify", {"text": row}), ("/v2/models/digits/infer", infer(row)),
             ("/v1/models/digits/versions/1:classify", {"inputs": row}),
             ("/v1/models/digits/aliases/latest:classify", {"inputs": [row, row]})]
    with Server(tmp_path, variables={"APUS_DEFAULT_MODEL": "digits"}) as server, server.connect() as raw:
        for path, body in calls:
            raw.request("POST", path, json.dumps(body).encode())
            assert raw.answer().status == 200
            raw.request("GET", "/v1/models/digits")
            assert raw.answer("GET").status == 200
        digits, = server.stats(model="digits")["models"]
        assert (digits["requests_total"], digits["rows_total"]) == (5, 6)
        assert digits["codes"] == [{"code": 0, "count": 5}]


def test_refusals_are_counted(tmp_path):
    """As docs/metrics.md says."""
    policy = tmp_path / "policy.yaml"
    policy.write_text('identities:\n  anonymous: {models: ["*"], methods: [classify, read]}\n')
    policy.chmod(0o600)
    with Server(tmp_path, ["--policy", str(policy)]) as server, server.connect() as raw:
        for path, token, status in ((CLASSIFY, "Bearer apus_x", 401), ("/v1/models/nothing:classify", None, 404),
                                    ("/v1/models/sentiment:classify", None, 400)):
            raw.request("POST", path, DIGIT, **({"Authorization": token} if token else {}))
            assert raw.answer().status == status
        found = gauges(raw)
        for reason in ("TOKEN_INVALID", "MODEL_NOT_FOUND", "SHAPE_MISMATCH"):
            assert found[f'apus_refusals_total{{reason="{reason}"}}'] == 1
        assert found['apus_authentication_failures_total{kind="token_invalid"}'] == 1


def test_the_access_log_has_the_calls_trace(tmp_path):
    trace = f"00-{TRACE}-{SPAN}-01"
    with Server(tmp_path, variables=logging(tmp_path)) as server, server.connect() as raw:
        for fields in ({"traceparent": trace}, {"TraceParent": trace}, {}, {"traceparent": trace[:-1]}):
            raw.request("POST", CLASSIFY, DIGIT, **fields)
            assert raw.answer().status == 200
    lines = logged(tmp_path)
    assert [(line.get("trace_id"), line.get("parent_id")) for line in lines] == [(TRACE, SPAN)] * 2 + [(None, None)] * 2
    for line in lines:
        assert (line["method"], line["model"], line["version"], line["code"]) == ("classify", "digits", 1, "OK")
        assert (line["transport"], line["rows"]) == ("http", 1)


def test_the_access_log_tells_https(tmp_path):
    authority = Authority(tmp_path, "authority")
    certificate, key = authority.sign("server", "server", "IP:127.0.0.1")
    options = ["--tls-cert", certificate, "--tls-key", key]
    with Server(tmp_path, options, "https", logging(tmp_path)) as server:
        subprocess.run(["curl", "-sS", "--fail", "--max-time", str(SECONDS), "--cacert", authority.file, "-d", DIGIT,
                        server.url + CLASSIFY], capture_output=True, timeout=SECONDS, check=True)
    assert [line["transport"] for line in logged(tmp_path)] == ["https"]


# How requests come.

def unread(server):
    """By the client's port, the bytes that its kernel holds and those that the server has not read (proc(5))."""
    found, there = {}, f":{server.port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            fields = line.split()
            for own, other, queue in ((1, 2, 0), (2, 1, 1)):
                if fields[other].endswith(there):
                    port = int(fields[own].split(":")[1], 16)
                    found[port] = found.get(port, 0) + int(fields[4].split(":")[queue], 16)
    return found


def is_read(server, *connections):
    """Whether the server has read all that was sent; the table is long where many connections have ended."""
    found = unread(server)
    return all(found[raw.socket.getsockname()[1]] == 0 for raw in connections)


def send_in_pieces(server, raw, data, size):
    """Each piece when the server has read the one before."""
    raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(0, len(data), size):
        raw.send(data[at:at + size])
        wait_until(lambda: is_read(server, raw), "the server has read a piece")


def mixed(count):
    """Requests of three kinds in turn, each call with a digit of its own, and a check of each answer."""
    requests, checks = b"", []
    for number in range(count):
        place = number % len(DIGITS.inputs)
        row, right = DIGITS.inputs[place].ravel().tolist(), DIGITS.probabilities[place]
        if number % 3 == 0:
            requests += head("GET", "/healthz")
            checks.append(lambda answer: answer.body == b"ok\n")
        elif number % 3 == 1:
            body = json.dumps({"text": row}).encode()
            requests += head("POST", "/classify", body) + body
            checks.append(lambda answer, right=right: np.allclose(answer.json(), [right], atol=TOLERANCE))
        else:
            body = json.dumps({"inputs": row, "top_k": 1}).encode()
            requests += head("POST", CLASSIFY, body) + body
            checks.append(lambda answer, right=right: right.argmax() == (
                answer.json()["results"][0]["classes"][0]["index"]))
    return requests, checks


def test_mixed_requests_in_one_send_are_answered_in_order(server):
    requests, checks = mixed(90)
    with server.connect() as raw:
        raw.send(requests)
        for number, check in enumerate(checks):
            answer = raw.answer()
            assert answer.status == 200 and check(answer), number




def test_mixed_requests_byte_by_byte_are_answered_in_order(server):
    requests, checks = mixed(6)
    with server.connect() as raw:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in requests:
            raw.send(bytes([byte]))
        for number, check in enumerate(checks):
            answer = raw.answer()
            assert answer.status == 200 and check(answer), number


@pytest.mark.parametrize("part", [1, HEAD - 1, HEAD, len(CALL) - 1],
                         ids=["first-byte", "half-head", "head", "half-body"])
def test_a_part_of_the_next_request_may_come_with_one(server, part):
    with server.connect() as raw:
        raw.send(CALL + CALL[:part])
        answer = raw.answer()
        assert answer.status == 200 and answer.headers["connection"] is None
        raw.send(CALL[part:])
        assert raw.answer().status == 200


@pytest.mark.parametrize("first", [1, 20, HEAD - 1, HEAD],
                         ids=["first-byte", "amid", "last-byte", "head-alone"])
def test_a_head_may_come_in_two_pieces(server, first):
    with server.connect() as raw:
        for _ in range(2):
            send_in_pieces(server, raw, CALL[:first], first)
            raw.send(CALL[first:])
            assert raw.answer().status == 200


def test_a_body_may_come_in_small_pieces(server):
    with server.connect() as raw:
        raw.send(CALL[:HEAD])
        send_in_pieces(server, raw, DIGIT, 20)
        answer = raw.answer()
        assert answer.status == 200 and answer.json()["results"][0]["classes"][0]["label"] == "7"


def test_who_asks_first_may_send_its_body_in_pieces(server):
    with server.connect() as raw:
        raw.send(head("POST", CLASSIFY, DIGIT, Expect="100-continue", Connection="close"))
        assert (raw.file.readline(), raw.file.readline()) == (b"HTTP/1.1 100 Continue\r\n", b"\r\n")
        send_in_pieces(server, raw, DIGIT, 100)
        assert raw.answer().status == 200
        assert raw.is_closed()


@pytest.mark.parametrize("options", ["close", "Close", "x, close"])
def test_connection_close_ends_the_connection(server, options):
    """RFC 9110, section 7.6.1: a list of options without regard to case."""
    with server.connect() as raw:
        raw.request("POST", CLASSIFY, DIGIT, Connection=options)
        assert raw.answer().status == 200
        assert is_ended(raw)


OLD = CALL.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)


def test_http_1_0_is_answered(server):
    for request, status in ((OLD, 200), (b"GET /healthz HTTP/1.0\r\n\r\n", 200), (b"GET /x HTTP/1.0\r\n\r\n", 404)):
        with server.connect() as raw:
            raw.send(request)
            answer = raw.answer()
            assert answer.status == status and "transfer-encoding" not in answer.headers


def test_http_1_0_ends_the_connection(server):
    """RFC 9112, section 9.3: a client of HTTP/1.0 that asks for nothing reads until the end."""
    with server.connect() as raw:
        raw.send(OLD)
        assert raw.answer().status == 200
        assert is_ended(raw)


def test_http_1_1_needs_a_host(server):
    """RFC 9112, section 3.2: a server must refuse it with 400."""
    with server.connect() as raw:
        raw.send(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert raw.answer().status == 400


# What callers leave behind.

def sockets(server):
    """Descriptors of the process that are sockets."""
    folder, found = f"/proc/{server.process.pid}/fd", 0
    for name in os.listdir(folder):
        try:
            found += os.readlink(f"{folder}/{name}").startswith("socket:")
        except FileNotFoundError:
            pass
    return found


def gauges(raw):
    raw.request("GET", "/metrics")
    lines = [line.rsplit(" ", 1) for line in raw.answer("GET").body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def leaves_nothing(server, raw, before):
    """Whether `raw` is the only connection again."""
    wait_until(lambda: sockets(server) == before, "the server has closed its sockets")
    wait_until(lambda: gauges(raw)['apus_open_connections{transport="http"}'] == 1, "it counts one connection")
    assert gauges(raw)["apus_requests_in_flight"] == 0
    raw.send(CALL)
    return raw.answer().status == 200


def test_a_thousand_connections_leave_nothing_behind(tmp_path):
    """Some say nothing, some ask for health, some call, some end before the answer."""
    with Server(tmp_path) as server, server.connect() as kept:
        kept.send(CALL)
        assert kept.answer().status == 200
        before = sockets(server)
        for number in range(1000):
            with server.connect() as raw:
                if number % 4:
                    raw.send(CALL if number % 4 > 1 else head("GET", "/healthz"))
                if number % 4 in (1, 2):
                    assert raw.answer().status == 200
        wait_until(lambda: gauges(kept)['apus_connections_total{transport="http"}'] == 1001, "all were taken")
        assert leaves_nothing(server, kept, before)


@pytest.mark.parametrize("resets", [False, True], ids=["end", "reset"])
def test_clients_gone_amid_their_bodies_leave_nothing_behind(tmp_path, resets):
    with Server(tmp_path) as server, server.connect() as kept:
        kept.send(CALL)
        assert kept.answer().status == 200
        before = sockets(server)
        gone = [server.connect() for _ in range(100)]
        for number, raw in enumerate(gone):
            raw.send(CALL[:len(CALL) - 1 - number])
        wait_until(lambda: is_read(server, *gone), "the server has read what came")
        assert sockets(server) == before + len(gone)
        for raw in gone:
            if resets:
                raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.close()
        assert leaves_nothing(server, kept, before)
        digits, = server.stats(model="digits")["models"]
        assert digits["codes"] == [{"code": 0, "count": 2}], "the calls of those that are here alone"
