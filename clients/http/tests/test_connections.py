"""HTTP itself, by bytes on a socket: order, pieces, times, limits, and what is no HTTP."""

import threading
import time

import pytest

from serving import DIGIT, Server, head, is_problem, wait_until

CLASSIFY = "/v1/models/digits:classify"
# A request must be whole, and an answer must be read, within this time.
MILLISECONDS = "300"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    limits = {f"APUS_LIMITS_{name}_TIMEOUT_MS": MILLISECONDS for name in ("FRAME", "WRITE")}
    with Server(tmp_path_factory.mktemp("hasty"), variables=limits) as server:
        yield server


def answers_to_digit(connection):
    answer = connection.answer()
    assert answer.status == 200, answer.body
    return answer.json()["results"][0]["classes"][0]["label"] == "7"


def test_a_connection_takes_many_requests(server):
    with server.connect() as raw:
        for _ in range(50):
            raw.request("POST", CLASSIFY, DIGIT)
            assert answers_to_digit(raw)


def test_pipelined_requests_are_answered_in_order(server):
    requests = [head("POST", CLASSIFY, DIGIT) + DIGIT, head("GET", "/healthz"), head("POST", CLASSIFY, b"{}") + b"{}",
                head("GET", "/nothing"), head("DELETE", "/v2"), head("HEAD", "/healthz")]
    methods = ["POST", "GET", "POST", "GET", "DELETE", "HEAD"]
    with server.connect() as raw:
        raw.send(b"".join(requests * 20))
        found = [raw.answer(method).status for method in methods * 20]
    assert found == [200, 200, 400, 404, 405, 200] * 20


def test_a_request_may_come_byte_by_byte(server):
    with server.connect() as raw:
        for byte in head("POST", CLASSIFY, DIGIT) + DIGIT:
            raw.send(bytes([byte]))
        assert answers_to_digit(raw)


def test_a_body_may_come_in_chunks(server):
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(DIGIT[at:at + 7]), DIGIT[at:at + 7]) for at in range(0, len(DIGIT), 7))
    with server.connect() as raw:
        for _ in range(3):
            raw.send(head("POST", CLASSIFY, Transfer_Encoding="chunked") + chunks + b"0\r\n\r\n")
            assert answers_to_digit(raw)


def test_a_client_that_ended_its_sending_gets_its_answer(server):
    with server.connect() as raw:
        raw.request("POST", CLASSIFY, DIGIT)
        raw.socket.shutdown(1)
        assert answers_to_digit(raw)
        assert raw.is_closed()


def test_connection_close_closes(server):
    with server.connect() as raw:
        raw.request("POST", CLASSIFY, DIGIT, Connection="close")
        assert answers_to_digit(raw)
        assert raw.is_closed()


@pytest.mark.parametrize("path,status,reason", [
    ("/v1/models/nothing:classify", 404, "MODEL_NOT_FOUND"), ("/v2/models/nothing/infer", 404, "MODEL_NOT_FOUND"),
    ("/nothing", 404, "PATH_NOT_FOUND"), ("/v1/models", 405, "METHOD_NOT_ALLOWED"), (CLASSIFY, 413, "BODY_LIMIT"),
])
@pytest.mark.parametrize("expect", ["100-continue", None])
def test_what_needs_no_body_is_answered_before_it(server, path, status, reason, expect):
    """The answer says that the connection ends, since the body that was announced did not come."""
    headers = {"Expect": expect} if expect else {}
    with server.connect() as raw:
        raw.send(head("POST", path, Content_Length="1000000000000", **headers))
        answer = raw.answer()
        assert is_problem(answer, status, reason)
        assert answer.headers["connection"] == "close"
        # What comes now is read and dropped, so that the answer is not lost.
        raw.send(b"x" * 100_000)
        assert raw.is_closed()


def test_a_client_that_asks_first_is_told_to_go_on(server):
    with server.connect() as raw:
        for _ in range(2):
            raw.send(head("POST", CLASSIFY, DIGIT, Expect="100-continue"))
            assert raw.file.readline() == b"HTTP/1.1 100 Continue\r\n"
            assert raw.file.readline() == b"\r\n"
            raw.send(DIGIT)
            assert answers_to_digit(raw)


@pytest.mark.parametrize("request_", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"APUS\0\0\0\0" * 8, b"GET\r\n\r\n", b"GET / HTTP/9.9.9\r\n\r\n",
    b"POST /classify HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"POST /classify HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /classify HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /classify HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /classify HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"GET / HTTP/1.1\r\nA B: c\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000, b"GET /" + b"x" * 1_000_000,
], ids=range(12))
def test_what_is_no_http_ends_the_connection(server, request_):
    with server.connect() as raw:
        try:
            raw.send(request_)
            received = raw.file.read()
        except ConnectionError:
            received = b""
    assert received == b"" or received.startswith(b"HTTP/1.1 400 "), received
    with server.connect() as raw:
        raw.request("GET", "/healthz")
        assert raw.answer().status == 200


@pytest.mark.parametrize("part", [
    b"G", b"POST /classify HTTP/1.1\r\nHost: x\r\n", head("POST", CLASSIFY, DIGIT), head("POST", CLASSIFY, DIGIT) + b"{",
    head("POST", CLASSIFY, Transfer_Encoding="chunked") + b"1\r\n{\r\n",
], ids=["method", "head", "no-body", "half-body", "chunk"])
def test_a_request_that_stops_half_way_is_not_waited_for(hasty, part):
    with hasty.connect() as raw:
        raw.request("POST", CLASSIFY, DIGIT)
        assert answers_to_digit(raw)
        raw.send(part)
        assert is_problem(raw.answer(), 408, "FRAME_TIMEOUT")
        assert raw.is_closed()


@pytest.mark.parametrize("start", [b"GET /", head("POST", CLASSIFY, Content_Length="1000000")], ids=["head", "body"])
def test_a_request_that_comes_slowly_is_not_waited_for(hasty, start):
    """A byte now and then does not keep it alive."""
    with hasty.connect() as raw:
        raw.send(start)
        stopped = threading.Event()

        def drip():
            while not stopped.wait(0.05):
                try:
                    raw.send(b"x")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert is_problem(raw.answer(), 408, "FRAME_TIMEOUT")
            assert raw.is_closed()
        finally:
            stopped.set()
            dripping.join()


def test_a_quiet_connection_is_kept(hasty):
    """The time for a request begins with its first byte."""
    with hasty.connect() as raw, hasty.connect() as other:
        raw.request("GET", "/healthz")
        assert raw.answer().status == 200
        # Longer than a request may take.
        other.send(b"G")
        assert is_problem(other.answer(), 408, "FRAME_TIMEOUT")
        raw.request("POST", CLASSIFY, DIGIT)
        assert answers_to_digit(raw)


@pytest.mark.parametrize("request_", [head("GET", "/openapi.json"), head("POST", CLASSIFY, DIGIT) + DIGIT], ids=["get", "call"])
def test_a_client_that_does_not_read_is_not_waited_for(hasty, request_):
    with hasty.connect() as raw:
        raw.socket.settimeout(10)
        with pytest.raises(ConnectionError):
            while True:
                raw.send(request_ * 100)


def test_calls_wait_until_their_answers_can_be_sent(tmp_path):
    """Otherwise the answers of whoever does not read would fill the memory."""
    # Their answers are more than the kernel keeps, which may be 10 MB.
    count = 14_000
    body = DIGIT[:-1] + b', "scores": true}'
    with Server(tmp_path) as server, server.connect() as raw:
        raw.socket.settimeout(120)

        def calls():
            return sum(model["requests_total"] for model in server.stats()["models"])

        sending = threading.Thread(target=raw.send, args=((head("POST", CLASSIFY, body) + body) * count,))
        sending.start()
        wait_until(calls, "the first calls are computed")
        before = 0
        while before != (now := calls()):
            before = now
            time.sleep(0.3)
        assert before < count
        assert all(answers_to_digit(raw) for _ in range(count))
        sending.join()
        assert calls() == count




def test_all_bodies_together_are_bounded(tmp_path):
    limits = {"APUS_LIMITS_BODY_BYTES": "65536", "APUS_LIMITS_SLAB_BYTES": str(1 << 20)}
    half = head("POST", CLASSIFY, Content_Length="500000") + b" " * 400_000
    with Server(tmp_path, variables=limits) as server, server.connect() as raw:
        with server.connect() as first, server.connect() as second:
            for other in (first, second):
                other.send(half)
            # They have been read once the third finds no room; it may come too early the first times.
            def is_full():
                with server.connect() as third:
                    third.send(half + b" " * 100_000)
                    answer = third.answer()
                    return answer.status == 429 and is_problem(answer, 429, "MEMORY_EXHAUSTED")
            wait_until(is_full, "there is no room for a third body")
            raw.request("POST", CLASSIFY, DIGIT)
            assert answers_to_digit(raw)
        wait_until(lambda: not is_full(), "the bodies of closed connections are given back")


def test_connections_over_the_limit_wait(tmp_path):
    """Those that are there are answered; a further one is when one of them has ended."""
    with Server(tmp_path, variables={"APUS_LIMITS_CONNECTIONS": "4"}) as server:
        held = [server.connect() for _ in range(4)]
        for raw in held:
            raw.request("POST", CLASSIFY, DIGIT)
            assert answers_to_digit(raw)
        with server.connect() as further:
            further.request("POST", CLASSIFY, DIGIT)
            further.socket.settimeout(0.3)
            with pytest.raises(TimeoutError):
                further.socket.recv(1)
            for raw in held:
                raw.request("GET", "/healthz")
                assert raw.answer().status == 200
            held.pop().close()
            further.socket.settimeout(20)
            wait_until(lambda: further.socket.recv(1, 2), "the further connection is answered")
        for raw in held:
            raw.close()


def test_many_connections_at_once(server):
    connections = [server.connect() for _ in range(200)]
    try:
        for raw in connections:
            raw.request("POST", CLASSIFY, DIGIT)
        assert all(answers_to_digit(raw) for raw in connections)
    finally:
        for raw in connections:
            raw.close()
