"""The client against a scripted server: what it sends, what it makes of answers, how it fails."""

import socket
import struct
import threading
import time

import numpy as np
import pytest

import apus
from fake import (
    CLASSIFY,
    GET_MODEL,
    HEALTH,
    LIST_MODELS,
    STATS,
    answer,
    frame,
    goaway,
    one_class,
    serving,
    status,
)

SERVING = bytes.fromhex("0801 1203 726479")  # status SERVING, detail "rdy"


def health_once(peer):
    _, id, _, _ = peer.request()
    peer.send(answer(HEALTH, id, SERVING))


# One row, top 2 of 3 classes, everything asked for. The parts are probabilities, indices and scores.
FULL_ANSWER = bytes.fromhex(
    "0801"  # rows 1
    "1002"  # classes 2
    "1a08 0801 12020102 2008"  # probabilities: FLOAT32 [1, 2], 8 bytes at 0
    "220a 0808 12020102 1840 2008"  # indices: UINT32 [1, 2], 8 bytes at 64
    "2a0b 0801 12020103 188001 200c"  # scores: FLOAT32 [1, 3], 12 bytes at 128
    "3203 636174"  # label "cat"
    "3203 646f67"  # label "dog"
    "3803"  # version 3
    "4d 0000003f"  # load 0.5
    "520e 0801 1002 18ac02 2004 28e807 3010"  # time: 1, 2, 300, 4, 1000 ns and a batch of 16 rows
)
FULL_BODY = struct.pack("<2f56x2I56x3f", 0.75, 0.25, 2, 0, 1.0, -1.0, 2.0)


def test_one_input():
    def script(peer):
        method, id, metadata, body = peer.request()
        assert method == CLASSIFY
        # model "pets", version 9, a FLOAT32 [1, 2] of 8 bytes, top 2, scores and labels wanted
        assert metadata == bytes.fromhex("0a0470657473 1009 2208 0801 12020102 2008 2802 3801 4001")
        assert body == struct.pack("<2f", 1.5, -2.0)
        peer.send(answer(CLASSIFY, id, FULL_ANSWER, FULL_BODY))

    with serving(script) as server, apus.Client(server.address, timeout=None) as client:
        result = client.classify("pets", np.array([1.5, -2.0], np.float32), top=2, version=9, scores=True)
    assert result.probabilities.tolist() == [0.75, 0.25] and result.probabilities.dtype == np.float32
    assert result.indices.tolist() == [2, 0]
    assert result.labels == ["cat", "dog"]
    assert result.scores.tolist() == [1.0, -1.0, 2.0]
    assert (result.version, result.load) == (3, 0.5)
    assert result.time == apus.TimeAccount(1, 2, 300, 4, 1000, 16)


def test_a_batch_of_every_class():
    def script(peer):
        _, id, metadata, body = peer.request()
        # model "m", alias "a", a FLOAT32 [2, 3] of 24 bytes
        assert metadata == bytes.fromhex("0a016d 1a0161 2208 0801 12020203 2018")
        assert body == struct.pack("<6f", 1, 2, 3, 4, 5, 6)
        # 2 rows of 2 classes, FLOAT32 [2, 2], 16 bytes; shape unpacked, which protobuf allows as well
        metadata = bytes.fromhex("0802 1002 1a08 0801 1002 1002 2010 3801")
        peer.send(answer(CLASSIFY, id, metadata, struct.pack("<4f", 0.5, 0.5, 0.25, 0.75)))

    with serving(script) as server, apus.Client(server.address, timeout=None) as client:
        result = client.classify("m", [[1, 2, 3], [4, 5, 6]], alias="a", labels=False)
    assert result.probabilities.tolist() == [[0.5, 0.5], [0.25, 0.75]]
    assert result.indices.tolist() == [[0, 1], [0, 1]]
    assert result.labels is None and result.scores is None


def test_texts():
    def script(peer):
        _, id, metadata, body = peer.request()
        # model "m", a UTF8 [1] of 5 bytes, which are the only text's, labels wanted
        assert metadata == bytes.fromhex("0a016d 220a 080b 120101 2005 2a0105 4001")
        assert body == "été".encode()
        peer.send(one_class(id, 1.0))
        _, id, metadata, body = peer.request()
        # a UTF8 [3] of 3 bytes: 1, 0 and 2
        assert metadata == bytes.fromhex("0a016d 220c 080b 120103 2003 2a03010002")
        assert body == b"abc"
        # 3 rows of 1 class
        peer.send(answer(CLASSIFY, id, bytes.fromhex("0803 1001 1a08 0801 12020301 200c 3801"),
                         struct.pack("<3f", 0.5, 0.25, 0.75)))

    with serving(script) as server, apus.Client(server.address, timeout=None) as client:
        result = client.classify("m", text="été")
        assert result.probabilities.tolist() == [1.0] and result.indices.tolist() == [0]
        result = client.classify("m", text=["a", "", "bc"], labels=False)
        assert result.probabilities.tolist() == [[0.5], [0.25], [0.75]]


def test_texts_that_cannot_be_sent():
    client = apus.Client("unix:/nonexistent")
    for inputs in ({}, {"array": [1.0], "text": "a"}):
        with pytest.raises(ValueError, match="an array or text=, one of them"):
            client.classify("m", **inputs)
    with pytest.raises(ValueError, match="no text"):
        client.classify("m", text=[])
    for text in (3, b"a", ["a", None], [b"a"]):
        with pytest.raises(TypeError):
            client.classify("m", text=text)
    with pytest.raises(ValueError, match="surrogates"):
        client.classify("m", text="\ud800")


def test_a_trace_parent():
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    def script(peer):
        _, id, metadata, _ = peer.request()
        # field 10, bytes
        assert metadata.endswith(b"\x52\x37" + trace.encode())
        peer.send(one_class(id, 1.0))

    with serving(script) as server, apus.Client(server.address) as client:
        client.classify("m", [1.0], top=1, trace_parent=trace)


def test_labels_of_a_model_without_them_are_the_indices():
    def script(peer):
        _, id, _, _ = peer.request()
        peer.send(one_class(id, 1.0))

    with serving(script) as server, apus.Client(server.address) as client:
        assert client.classify("m", [1.0], top=1).labels == ["0"]


@pytest.mark.parametrize(
    "array, data_type, body",
    [
        ([1, 2], 1, struct.pack("<2f", 1, 2)),
        (np.array([1.0, 2.0]), 1, struct.pack("<2f", 1, 2)),
        (np.array([1.0, 2.0], ">f4"), 1, struct.pack("<2f", 1, 2)),
        (np.array([[1, 9], [2, 9]], np.float32)[:, 0], 1, struct.pack("<2f", 1, 2)),
        (np.array([1, 2], np.float16), 3, struct.pack("<2e", 1, 2)),
        (np.array([1, 2], np.int8), 5, b"\1\2"),
        (np.array([1, 2], np.uint8), 6, b"\1\2"),
        (np.array([1, 2], np.int32), 7, struct.pack("<2i", 1, 2)),
        (np.array([1, 2], np.uint32), 8, struct.pack("<2I", 1, 2)),
        (np.array([1, 2], np.int64), 9, struct.pack("<2q", 1, 2)),
        (np.array([True, False]), 10, b"\1\0"),
    ],
)
def test_types_of_inputs(array, data_type, body):
    def script(peer):
        _, id, metadata, received = peer.request()
        assert bytes([0x08, data_type, 0x12, 2, 1, 2, 0x20, len(body)]) in metadata
        assert received == body
        peer.send(one_class(id, 1.0))

    with serving(script) as server, apus.Client(server.address) as client:
        client.classify("m", array, top=1)


def test_inputs_that_cannot_be_sent():
    client = apus.Client("unix:/nonexistent")
    for array in (np.float32(1), np.zeros((0, 3), np.float32), []):
        with pytest.raises(ValueError, match="one number at least"):
            client.classify("m", array)
    for options in ({"top": -1}, {"window": 0}):
        with pytest.raises(ValueError, match="at least 0 and 1"):
            client.classify_many("m", [[1.0]], **options)
    with pytest.raises(TypeError, match="use float32"):
        client.classify("m", np.array(["text"]))
    for call in (client.classify, client.get_model):
        with pytest.raises(ValueError, match="not both"):
            call("m", *([[1.0]] if call == client.classify else []), version=1, alias="a")


@pytest.mark.parametrize("address", [
    "", "unix:", "/run/a", "tcp://host", "tcp://host:x", "tls://host", "tls://user@host:1",
    "tcp://host:1/path", "tcp://host:1?top=1", "https://host:1"])
def test_addresses_that_are_none(address):
    with pytest.raises(ValueError, match="unix:PATH"):
        apus.Client(address)


def test_tcp():
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connected, _ = listener.accept()
        with connected:
            head = connected.recv(64)
            connected.sendall(answer(HEALTH, head[8], SERVING))

    thread = threading.Thread(target=serve)
    thread.start()
    with listener, apus.Client(f"tcp://127.0.0.1:{listener.getsockname()[1]}") as client:
        assert client.health().status == apus.ServingStatus.SERVING
        thread.join()


def test_a_reset_connection():
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connected, _ = listener.accept()
        connected.recv(64)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connected.close()

    thread = threading.Thread(target=serve)
    thread.start()
    with listener, apus.Client(f"tcp://127.0.0.1:{listener.getsockname()[1]}") as client:
        with pytest.raises(apus.ConnectionLost, match="broke"):
            client.health()
        thread.join()


def test_health():
    def script(peer):
        assert peer.request()[2] == b""
        peer.send(answer(HEALTH, 1, SERVING))
        method, id, metadata, _ = peer.request()
        assert (method, metadata) == (HEALTH, b"\x0a\x01m")
        peer.send(answer(HEALTH, id, b"\x08\x03"))

    with serving(script) as server, apus.Client(server.address) as client:
        assert client.health() == apus.HealthResponse(apus.ServingStatus.SERVING, "rdy")
        assert client.health("m").status is apus.ServingStatus.SERVICE_UNKNOWN


def test_answers_in_several_frames_are_one():
    def script(peer):
        method, id, _, _ = peer.request()
        assert method == STATS
        peer.send(answer(STATS, id, bytes.fromhex("0a02 1007 1203 0a0178"), flags=4))
        peer.send(answer(STATS, id, b"", flags=4))
        peer.send(answer(STATS, id, bytes.fromhex("1205 0a0179 2003")))
        method, id, _, _ = peer.request()
        assert method == LIST_MODELS
        peer.send(answer(LIST_MODELS, id, bytes.fromhex("0a03 0a0161"), flags=4))
        peer.send(answer(LIST_MODELS, id, bytes.fromhex("0a05 0a0162 1803")))

    with serving(script) as server, apus.Client(server.address) as client:
        stats = client.stats()
        assert stats.server.uptime_ns == 7
        assert [(model.model, model.rows_total) for model in stats.models] == [("x", 0), ("y", 3)]
        models = client.models()
    assert [model.name for model in models] == ["a", "b"]
    assert models[1].state is apus.ModelState.FAILED


def test_get_model():
    def script(peer):
        method, id, metadata, _ = peer.request()
        assert (method, metadata) == (GET_MODEL, bytes.fromhex("0a0164 1002"))
        # name "d", input FLOAT32 [-1, 64], labels "n" and "p"
        peer.send(answer(GET_MODEL, id, bytes.fromhex(
            "0a1a 0a0164 420f 1001 1a0b ffffffffffffffffff01 40 52016e 520170")))

    with serving(script) as server, apus.Client(server.address) as client:
        info = client.get_model("d", version=2)
    assert (info.name, info.labels) == ("d", ["n", "p"])
    assert (info.inputs[0].dtype, info.inputs[0].shape) == (apus.DataType.FLOAT32, [-1, 64])


def test_an_error_from_the_server_keeps_the_connection():
    def script(peer):
        _, id, _, _ = peer.request()
        peer.send(status(CLASSIFY, id, 8, b"QUEUE_FULL", bytes.fromhex("80cab5ee01")))  # 500,000,000 ns
        health_once(peer)

    with serving(script) as server, apus.Client(server.address) as client:
        with pytest.raises(apus.StatusError) as caught:
            client.classify("m", [1.0])
        assert client.health().detail == "rdy"
    error = caught.value
    assert (error.code.name, int(error.code)) == ("RESOURCE_EXHAUSTED", 8)
    assert (error.message, error.reason, error.retry_after) == ("no", "QUEUE_FULL", 0.5)


def test_codes():
    def script(peer):
        for code in (4, 77):
            _, id, _, _ = peer.request()
            peer.send(status(HEALTH, id, code))
        _, id, _, _ = peer.request()
        peer.send(answer(HEALTH, id, b"", flags=2))
        assert peer.ended()

    with serving(script) as server, apus.Client(server.address) as client:
        with pytest.raises(apus.DeadlineExceeded) as caught:
            client.health()
        assert isinstance(caught.value, (apus.StatusError, TimeoutError)) and caught.value.message == "no"
        with pytest.raises(apus.StatusError) as caught:
            client.health()
        assert caught.value.code is apus.Code.UNKNOWN
        with pytest.raises(apus.ProtocolError, match="code is OK"):
            client.health()


def test_the_deadline_is_sent_and_kept():
    def script(peer):
        _, _, metadata, _ = peer.request()
        start = metadata.index(b"\x30") + 1  # field 6, timeout_ns
        timeout, shift = 0, 0
        for byte in metadata[start:]:
            timeout |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        assert 0 < timeout <= 200_000_000
        assert timeout > 100_000_000
        assert peer.ended()

    with serving(script, health_once) as server, apus.Client(server.address) as client:
        before = time.monotonic()
        with pytest.raises(apus.DeadlineExceeded):
            client.classify("m", [1.0], labels=False, timeout=0.2)
        assert time.monotonic() - before >= 0.2
        assert client.health().detail == "rdy", "a new connection follows a time-out"
        assert server.connections == 2


def test_equal_calls_have_equal_metadata():
    def script(peer):
        received = set()
        for _ in range(5):
            _, id, metadata, _ = peer.request()
            received.add(metadata)
            peer.send(one_class(id, 0.5))
        assert len(received) == 1

    with serving(script) as server, apus.Client(server.address, timeout=1000) as client:
        for number in range(3):
            client.classify("m", [float(number)], top=1)
        client.classify_many("m", [[8.0], [9.0]], top=1)


def test_another_threads_call_is_waited_for_no_longer_than_the_time_out():
    started = threading.Event()

    def script(peer):
        peer.request()
        started.set()
        assert peer.ended()

    with serving(script) as server, apus.Client(server.address) as client:
        def slow():
            with pytest.raises(apus.DeadlineExceeded, match="before its answer"):
                client.health(timeout=0.5)

        thread = threading.Thread(target=slow)
        thread.start()
        started.wait(10)
        with pytest.raises(apus.DeadlineExceeded, match="another thread"):
            client.health(timeout=0.05)
        with pytest.raises(apus.DeadlineExceeded, match="no time"):
            client.health(timeout=0)
        thread.join()


def test_half_an_answer_does_not_stop_the_clock():
    def script(peer):
        _, id, _, _ = peer.request()
        peer.send(answer(HEALTH, id, SERVING)[:40])
        assert peer.ended()

    with serving(script) as server, apus.Client(server.address) as client:
        with pytest.raises(apus.DeadlineExceeded):
            client.health(timeout=0.1)


def test_an_answer_that_comes_byte_by_byte():
    def script(peer):
        _, id, _, _ = peer.request()
        for byte in one_class(id, 0.5):
            peer.send(bytes([byte]))

    with serving(script) as server, apus.Client(server.address) as client:
        assert client.classify("m", [1.0], top=1).probabilities.tolist() == [0.5]


def test_no_server():
    client = apus.Client("unix:/nonexistent/socket")
    with pytest.raises(apus.ConnectError, match="/nonexistent/socket.*is a server there"):
        client.health()
    with pytest.raises(ConnectionError):
        client.health()


def test_connecting_is_tried_twice(monkeypatch):
    from apus import connection

    attempts = []
    real = connection.connect_once

    def failing_once(*arguments):
        attempts.append(arguments)
        if len(attempts) == 1:
            raise ConnectionRefusedError("not yet")
        return real(*arguments)

    monkeypatch.setattr(connection, "connect_once", failing_once)
    with serving(health_once) as server, apus.Client(server.address) as client:
        assert client.health().detail == "rdy"
    assert len(attempts) == 2


def test_a_lost_call_is_not_repeated():
    def script(peer):
        peer.request()

    with serving(script, health_once) as server, apus.Client(server.address) as client:
        with pytest.raises(apus.ConnectionLost):
            client.classify("m", [1.0])
        assert server.connections == 1
        assert client.health().detail == "rdy"


def test_a_connection_closed_between_calls_is_replaced():
    closed = threading.Event()

    def script(peer):
        health_once(peer)
        peer.socket.close()
        closed.set()

    with serving(script, health_once) as server, apus.Client(server.address) as client:
        client.health()
        closed.wait(10)
        assert client.health().detail == "rdy"
        assert server.connections == 2


def test_a_refusal_is_read_though_the_server_does_not_take_the_request():
    def script(peer):
        peer.exactly(32)
        peer.send(status(CLASSIFY, 1, 8))
        peer.hang_up()

    with serving(script) as server, apus.Client(server.address) as client:
        with pytest.raises(apus.StatusError, match="RESOURCE_EXHAUSTED"):
            client.classify("m", np.zeros((4000, 1000), np.float32))
        client.close()


def test_not_processed_is_tried_again_once():
    def script(peer):
        for code in range(3):
            _, id, metadata, _ = peer.request()
            assert id == code + 1
            peer.send(status(CLASSIFY, id, 14, b"NOT_PROCESSED") if code != 2 else one_class(id, 0.5))

    with serving(script) as server, apus.Client(server.address) as client:
        with pytest.raises(apus.StatusError) as caught:
            client.classify("m", [1.0], top=1)
        assert (caught.value.code, caught.value.reason) == (apus.Code.UNAVAILABLE, "NOT_PROCESSED")
        assert client.classify("m", [1.0], top=1).probabilities.tolist() == [0.5]


def test_a_retry_waits_as_long_as_the_server_says():
    def script(peer):
        _, id, _, _ = peer.request()
        peer.send(status(CLASSIFY, id, 14, b"NOT_PROCESSED", bytes.fromhex("80c2d72f")))  # 100,000,000 ns
        sent = time.monotonic()
        _, id, _, _ = peer.request()
        assert time.monotonic() - sent >= 0.09
        peer.send(one_class(id, 0.5))
        _, id, _, _ = peer.request()
        peer.send(status(CLASSIFY, id, 14, b"NOT_PROCESSED", bytes.fromhex("80d0acf30e")))  # 4,000,000,000 ns

    with serving(script) as server, apus.Client(server.address) as client:
        assert client.classify("m", [1.0], top=1).probabilities.tolist() == [0.5]
        with pytest.raises(apus.StatusError, match="UNAVAILABLE"):
            client.classify("m", [1.0], top=1, timeout=1.0)


def test_goaway_between_calls():
    said = threading.Event()

    def leaving(peer):
        health_once(peer)
        peer.send(goaway())
        said.set()
        assert peer.ended()

    with serving(leaving, health_once) as server, apus.Client(server.address) as client:
        client.health()
        said.wait(10)
        assert client.health().detail == "rdy"


def test_goaway_amid_calls():
    """Two calls are answered after the goaway, one is not processed, and the rest go to the next server."""

    def leaving(peer):
        ids = [peer.request()[1] for _ in range(3)]
        peer.send(goaway() + one_class(ids[1], 0.25))
        peer.send(status(CLASSIFY, ids[2], 14, b"NOT_PROCESSED"))
        peer.send(one_class(ids[0], 0.5))
        assert peer.ended(), "nothing is sent after a goaway"

    def next_one(peer):
        received = []
        for _ in range(3):
            _, id, _, body = peer.request()
            received.append(struct.unpack("<f", body)[0])
            peer.send(one_class(id, received[-1] / 8, version=2))
        assert sorted(received) == [3, 4, 5]

    with serving(leaving, next_one) as server, apus.Client(server.address) as client:
        results = client.classify_many("m", [[float(n)] for n in range(1, 6)], top=1, window=3)
    assert [result.probabilities[0] for result in results] == [0.5, 0.25, 3 / 8, 4 / 8, 5 / 8]
    assert [result.version for result in results] == [1, 1, 2, 2, 2]


def test_goaway_and_then_nothing_loses_the_call():
    def script(peer):
        peer.request()
        peer.send(goaway())

    with serving(script) as server, apus.Client(server.address) as client:
        with pytest.raises(apus.ConnectionLost):
            client.classify("m", [1.0])


def test_many_calls_fly_together_and_answers_may_come_in_any_order():
    def script(peer):
        for _ in range(4):
            requests = [peer.request() for _ in range(5)]
            for _, id, _, body in reversed(requests):
                peer.send(one_class(id, struct.unpack("<f", body)[0] / 32))

    with serving(script) as server, apus.Client(server.address) as client:
        results = client.classify_many("m", ([float(n)] for n in range(20)), top=1, window=5)
        assert client.classify_many("m", []) == []
    assert [float(result.probabilities[0]) * 32 for result in results] == list(range(20))


def test_more_bytes_than_sockets_hold_in_both_directions():
    """The server answers each call before it reads the next, with an answer larger than a socket's buffer."""
    floats = 1 << 18

    def script(peer):
        for _ in range(6):
            _, id, _, body = peer.request()
            metadata = bytes.fromhex("0801 10808010 1a0c 0801 1204 01808010 20808040 3801")
            peer.send(answer(CLASSIFY, id, metadata, body))

    arrays = [np.full(floats, n, np.float32) for n in range(6)]
    with serving(script) as server, apus.Client(server.address) as client:
        results = client.classify_many("m", arrays, labels=False)
    for array, result in zip(arrays, results):
        assert np.array_equal(result.probabilities, array)


def test_the_first_failure_of_many_stops_the_rest_and_keeps_the_connection():
    def script(peer):
        ids = [peer.request()[1] for _ in range(2)]
        peer.send(status(CLASSIFY, ids[0], 3))
        peer.send(status(CLASSIFY, ids[1], 14, b"NOT_PROCESSED"))
        health_once(peer)

    with serving(script) as server, apus.Client(server.address) as client:
        with pytest.raises(apus.StatusError, match="INVALID_ARGUMENT"):
            client.classify_many("m", [[1.0]] * 4, top=1, window=2)
        assert client.health().detail == "rdy"


def test_a_call_given_up_before_its_retry_does_not_hide_the_failure():
    def script(peer):
        ids = [peer.request()[1] for _ in range(2)]
        peer.send(status(CLASSIFY, ids[0], 14, b"NOT_PROCESSED") + status(CLASSIFY, ids[1], 3))

    with serving(script) as server, apus.Client(server.address) as client:
        with pytest.raises(apus.StatusError, match="INVALID_ARGUMENT"):
            client.classify_many("m", [[1.0]] * 2, top=1)


def test_threads_take_turns():
    def script(peer):
        for _ in range(40):
            _, id, _, body = peer.request()
            peer.send(one_class(id, struct.unpack("<f", body)[0] / 64))

    wrong = []

    def call(client, number):
        for _ in range(10):
            if client.classify("m", [float(number)], top=1).probabilities[0] != number / 64:
                wrong.append(number)

    with serving(script) as server, apus.Client(server.address) as client:
        threads = [threading.Thread(target=call, args=(client, number)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def rows_answer(**changes):
    """An answer to one row and top 1, with single pieces of the metadata replaced."""
    pieces = {
        "rows": "0801",
        "classes": "1001",
        "probabilities": "1a08 0801 12020101 2004",
        "indices": "220a 0808 12020101 1840 2004",
        "rest": "",
    }
    return bytes.fromhex("".join({**pieces, **changes}.values()))


BODY = struct.pack("<f60xI", 1.0, 0)

LIES = {
    "rows": rows_answer(rows="0802"),
    "no classes": rows_answer(classes=""),
    "more classes than asked for": rows_answer(classes="1002"),
    "no probabilities": rows_answer(probabilities=""),
    "no indices": rows_answer(indices=""),
    "dtype": rows_answer(probabilities="1a08 0802 12020101 2004"),
    "shape": rows_answer(probabilities="1a08 0801 12020102 2004"),
    "length": rows_answer(probabilities="1a08 0801 12020101 2008"),
    "region": rows_answer(probabilities="1a0a 0801 12020101 2004 3801"),
    "offset outside the body": rows_answer(indices="220b 0808 12020101 188001 2004"),
    "offset of 2^63": rows_answer(indices="2213 0808 12020101 1880808080808080808001 2004"),
    "offset not a multiple of 64": rows_answer(indices="220a 0808 12020101 1820 2004"),
    "overlapping": rows_answer(indices="2208 0808 12020101 2004"),
    "labels": rows_answer(rest="320161 320162"),
    "metadata": b"\xff",
}


@pytest.mark.parametrize("metadata", LIES.values(), ids=LIES.keys())
def test_lies_about_tensors(metadata):
    def script(peer):
        _, id, _, _ = peer.request()
        peer.send(answer(CLASSIFY, id, metadata, BODY))
        assert peer.ended(), "the connection is closed"

    with serving(script, health_once) as server, apus.Client(server.address) as client:
        with pytest.raises(apus.ProtocolError):
            client.classify("m", [1.0], top=1)
        assert client.health().detail == "rdy", "and a new one is opened"


def test_the_answer_that_the_lies_are_made_from_is_taken():
    def script(peer):
        _, id, _, _ = peer.request()
        peer.send(answer(CLASSIFY, id, rows_answer(), BODY))

    with serving(script) as server, apus.Client(server.address) as client:
        assert client.classify("m", [1.0], top=1).probabilities.tolist() == [1.0]


BROKEN = {
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "another id": answer(HEALTH, 99, SERVING),
    "another method": answer(STATS, 1, SERVING),
    "a request": frame(1, HEALTH, 1, SERVING),
    "a shared region": answer(HEALTH, 1, SERVING, flags=1),
    "an error that goes on": answer(HEALTH, 1, b"\x08\x03", flags=6),
    "an error after half an answer": answer(HEALTH, 1, SERVING, flags=4) + status(HEALTH, 1, 3),
    "a body in half an answer": answer(HEALTH, 1, SERVING, b"x", flags=4),
    "a length of 2^63": answer(HEALTH, 1)[:24] + struct.pack("<Q", 1 << 63),
    "padding": answer(HEALTH, 1, SERVING)[:-1] + b"x",
    "goaway with an id": frame(4, 0, 1),
    "goaway with a body": frame(4, 0, 0, b"", b"x"),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_broken_answers(data):
    def script(peer):
        peer.request()
        peer.send(data)
        assert peer.ended(), "the connection is closed"

    with serving(script, health_once) as server, apus.Client(server.address) as client:
        with pytest.raises(apus.ProtocolError):
            client.health()
        assert client.health().detail == "rdy", "and a new one is opened"


def test_an_error_of_the_connection_itself():
    def script(peer):
        peer.request()
        peer.send(status(0, 0, 9))

    with serving(script) as server, apus.Client(server.address) as client:
        with pytest.raises(apus.StatusError, match="FAILED_PRECONDITION"):
            client.health()


def test_an_answer_nobody_asked_for():
    sent = threading.Event()

    def script(peer):
        health_once(peer)
        peer.send(answer(HEALTH, 1, SERVING))
        sent.set()
        assert peer.ended()

    with serving(script) as server, apus.Client(server.address) as client:
        with pytest.raises(apus.ProtocolError, match="asked for"):
            client.health()
            sent.wait(10)
            client.health()


def test_an_endless_answer_is_cut():
    def script(peer):
        _, id, _, _ = peer.request()
        piece = answer(STATS, id, b"\x7a\xf8\x7f" + bytes(0x3FF8), flags=4)  # an unknown field of 16 KiB
        with pytest.raises(OSError):
            while True:
                peer.send(piece)

    with serving(script) as server, apus.Client(server.address) as client:
        with pytest.raises(apus.ProtocolError, match="longer than"):
            client.stats()
