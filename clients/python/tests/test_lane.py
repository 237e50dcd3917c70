"""Lanes and regions against a scripted server: the rings, their bells, and what is believed of them."""

import gc
import os
import socket
import struct
import threading
import time

import numpy as np
import pytest

import apus
import apus.client
from fake import CLASSIFY, HEALTH, answer, frame, goaway, one_class, serving, status, welcome
from fake_lane import (
    ANSWERS,
    OPEN_LANE,
    READ,
    READER_SLEEPS,
    REGISTER_REGION,
    REQUESTS,
    UNREGISTER_REGION,
    WRITTEN,
    LanePeer,
    asked_for_lane,
    lane_message,
    ring_message,
    sealed,
    varint,
)
from test_token import TOKEN, greeted

SERVING = bytes.fromhex("0801 1203 726479")  # status SERVING, detail "rdy"


def health_once(peer):
    method, id, _, _ = peer.request()
    assert method == HEALTH
    peer.send(answer(HEALTH, id, SERVING))


def over_lane(server, **options):
    return apus.Client(server.address.replace("unix:", "shm:"), **options)


def echo(peer):
    """Answers a call of n rows of one number with these as the probabilities of one class."""
    _, id, _, body = peer.request()
    peer.send(echoed(id, body))


def echoed(id, body):
    rows = varint(len(body) // 4)
    part = b"\x08\x01\x12" + varint(len(rows) + 1) + rows + b"\x01\x20" + varint(len(body))
    metadata = b"\x08" + rows + b"\x10\x01\x1a" + varint(len(part)) + part + b"\x38\x01"
    return answer(CLASSIFY, id, metadata, body)


def column(rows, first=0):
    return np.arange(first, first + rows, dtype=np.float32).reshape(-1, 1)


# Opening


def test_calls_go_through_the_rings():
    def script(peer):
        lane = LanePeer(peer)
        health_once(lane)
        _, id, _, body = lane.request()
        assert body == struct.pack("<f", 4.0)
        lane.send(one_class(id, 0.5))
        assert lane.ended() and lane.word(REQUESTS, WRITTEN) == lane.word(REQUESTS, READ) == 64 + 128

    with serving(script) as server, over_lane(server) as client:
        assert client.health().detail == "rdy"
        assert client.classify("m", [4.0], top=1).probabilities.tolist() == [0.5]


def test_hello_comes_first_and_is_answered_before_a_lane_is_asked_for():
    def script(peer):
        greeted(peer)
        peer.socket.settimeout(0.05)
        with pytest.raises(socket.timeout):
            peer.exactly(1)
        peer.socket.settimeout(10)
        peer.send(welcome())
        health_once(LanePeer(peer))

    with serving(script) as server, over_lane(server, token=TOKEN) as client:
        assert client.health().detail == "rdy"


def test_a_refused_token():
    def script(peer):
        peer.request()
        peer.send(status(0, 0, 16, b"TOKEN_INVALID"))
        peer.hang_up()

    with serving(script, script) as server:
        for client in (over_lane(server, token=TOKEN), apus.Client(server.address, token=TOKEN, lane="auto")):
            with pytest.raises(apus.Unauthenticated, match="no"):
                client.health()


@pytest.mark.parametrize("code, reason", [(12, b"METHOD_UNKNOWN"), (8, b"LANE_LIMIT")])
def test_a_server_without_lanes(code, reason):
    def script(peer):
        peer.send(status(OPEN_LANE, asked_for_lane(peer), code, reason))
        with pytest.raises(EOFError):
            health_once(peer)

    def going_on(peer):
        peer.send(status(OPEN_LANE, asked_for_lane(peer), code, reason))
        health_once(peer)
        echo(peer)

    with serving(script, going_on) as server:
        with over_lane(server) as client, pytest.raises(apus.ConnectError, match="no lane at shm:.*unix:"):
            client.health()
        with apus.Client(server.address, lane="auto") as client, client.region(4096) as region:
            assert client.health().detail == "rdy"
            values = region.array((3, 1))
            values[:] = column(3)
            assert client.classify("m", values, labels=False).probabilities.tolist() == [[0], [1], [2]]


def test_who_may_not_call_is_told_so():
    def script(peer):
        peer.send(status(OPEN_LANE, asked_for_lane(peer), 16, b"CREDENTIALS_REQUIRED"))

    with serving(script) as server, over_lane(server) as client, pytest.raises(apus.Unauthenticated):
        client.health()


def test_auto_is_a_lane_where_there_is_one():
    with serving(lambda peer: health_once(LanePeer(peer))) as server:
        with apus.Client(server.address, lane="auto") as client:
            assert client.health().detail == "rdy"


def test_other_addresses_take_no_lane():
    for address in ("tcp://localhost:1", "tls://localhost:1", "shm:/nonexistent"):
        with pytest.raises(ValueError, match="lane="):
            apus.Client(address, lane="auto")
    with pytest.raises(ValueError, match="lane="):
        apus.Client("unix:/nonexistent", lane="always")
    with pytest.raises(apus.ConnectError, match="cannot connect to shm:/nonexistent"):
        apus.Client("shm:/nonexistent").health()


def test_a_system_without_lanes(monkeypatch):
    monkeypatch.setattr(apus.client, "IS_SUPPORTED", False)
    with pytest.raises(apus.ConnectError, match="need Linux"):
        apus.Client("shm:/nonexistent")
    with serving(health_once) as server, apus.Client(server.address, lane="auto") as client:
        assert client.health().detail == "rdy"


def test_a_server_that_ends_before_there_is_a_lane():
    with serving(lambda peer: asked_for_lane(peer)) as server:
        with over_lane(server) as client, pytest.raises(apus.ConnectError, match="no lane.*closed"):
            client.health()


def test_a_server_that_never_answers():
    with serving(lambda peer: asked_for_lane(peer) and peer.ended()) as server:
        with over_lane(server) as client, pytest.raises(apus.DeadlineExceeded):
            client.health(timeout=0.1)


@pytest.mark.parametrize("lane", [None, "auto"])
def test_goaway_instead_of_a_lane(lane):
    """The call is refused, and made once more over another connection."""
    def draining(peer):
        id = asked_for_lane(peer)
        peer.send(goaway() + status(OPEN_LANE, id, 14, b"NOT_PROCESSED"))
        _, id, _, _ = peer.request()
        peer.send(status(HEALTH, id, 14, b"NOT_PROCESSED"))

    with serving(draining, lambda peer: health_once(LanePeer(peer))) as server:
        address = server.address if lane else server.address.replace("unix:", "shm:")
        with apus.Client(address, lane=lane) as client:
            assert client.health().detail == "rdy"


RING = ring_message(1024, 4096, 4096)


@pytest.mark.parametrize("message", [
    lane_message(12288, RING, ring_message(2048, 8192, 4096), layout=2),
    lane_message(12288, RING, ring_message(2048, 8192, 4095)),
    lane_message(12288, RING, ring_message(2048, 8192, 0)),
    lane_message(12288, RING, ring_message(2048, 8192, 8192)),
    lane_message(12288, RING, ring_message(2048, 8193, 2048)),
    lane_message(12288, RING, ring_message(2052, 8192, 4096)),
    lane_message(12288, RING, ring_message(12288 - 448, 8192, 4096)),
    lane_message(12288, RING, ring_message(2048, (1 << 64) - 4096, 4096)),
    lane_message(12288, ring_message(1024, 4096, 1 << 63), RING),
    lane_message(12289, RING, ring_message(2048, 8192, 4096)),
    lane_message(1 << 62, RING, ring_message(2048, 8192, 4096)),
    lane_message((1 << 64) - 1, RING, ring_message(2048, 8192, 4096)),
    lane_message(12288, RING, RING).partition(b"\x22")[0],
    b"",
    b"\xff",
])
def test_a_layout_that_does_not_lie_in_the_memory(message):
    def script(peer):
        id, descriptor = asked_for_lane(peer), sealed(12288)
        socket.send_fds(peer.socket, [answer(OPEN_LANE, id, message)], [descriptor])
        os.close(descriptor)
        assert peer.ended()

    with serving(script) as server, over_lane(server) as client, pytest.raises(apus.ProtocolError):
        client.health()


@pytest.mark.parametrize("make", [
    lambda: None, lambda: sealed(12288, 0), lambda: os.open("/dev/zero", os.O_RDWR)])
def test_no_memory_that_can_be_used(make):
    def script(peer):
        id, descriptor = asked_for_lane(peer), make()
        data = answer(OPEN_LANE, id, lane_message(12288, RING, ring_message(2048, 8192, 4096)))
        socket.send_fds(peer.socket, [data], [] if descriptor is None else [descriptor])
        if descriptor is not None:
            os.close(descriptor)
        assert peer.ended()

    with serving(script) as server, over_lane(server) as client:
        with pytest.raises(apus.ProtocolError, match="memory"):
            client.health()


# Rings


@pytest.mark.parametrize("sleeps", [False, True])
def test_frames_wrap_around(sleeps):
    """Frames of several sizes, none a divisor of the ring's, and each byte of them arrives."""
    counts = [1, 300, 17, 500, 33, 220] * 15

    def script(peer):
        lane = LanePeer(peer, sleeps=sleeps)
        for _ in counts:
            echo(lane)

    with serving(script) as server, over_lane(server) as client:
        for n, count in enumerate(counts):
            result = client.classify("m", column(count, n), labels=False)
            assert np.array_equal(result.probabilities, column(count, n))


@pytest.mark.parametrize("sleeps", [False, True])
def test_frames_longer_than_the_rings(sleeps):
    def script(peer):
        lane = LanePeer(peer, sleeps=sleeps)
        for _ in range(3):
            echo(lane)

    with serving(script) as server, over_lane(server) as client:
        for rows in (5_000, 1, 20_000):
            result = client.classify("m", column(rows), labels=False)
            assert np.array_equal(result.probabilities, column(rows))


@pytest.mark.parametrize("sleeps", [False, True])
def test_neither_side_blocks_the_other(sleeps):
    """The server answers each call before it reads the next, with an answer longer than its ring."""
    def script(peer):
        lane = LanePeer(peer, sleeps=sleeps)
        for _ in range(6):
            echo(lane)

    arrays = [column(3_000, n) for n in range(6)]
    with serving(script) as server, over_lane(server) as client:
        results = client.classify_many("m", arrays, labels=False)
    for array, result in zip(arrays, results):
        assert np.array_equal(result.probabilities, array)


def test_a_client_that_sleeps_is_woken():
    def script(peer):
        lane = LanePeer(peer)
        for _ in range(3):
            _, id, _, _ = lane.request()
            lane.until_client_sleeps()
            lane.send(answer(HEALTH, id, SERVING))
        assert lane.bells == 3

    with serving(script) as server, over_lane(server) as client:
        for _ in range(3):
            assert client.health().detail == "rdy"


def test_a_client_that_sleeps_needs_the_bell():
    def script(peer):
        lane = LanePeer(peer)
        _, id, _, _ = lane.request()
        lane.until_client_sleeps()
        lane.put(answer(HEALTH, id, SERVING))
        assert lane.ended()

    with serving(script) as server, over_lane(server) as client:
        before = time.monotonic()
        assert client.health(timeout=0.2).detail == "rdy"
        assert time.monotonic() - before >= 0.2


def test_bells_that_mean_nothing():
    def script(peer):
        lane = LanePeer(peer)
        for _ in range(20):
            lane.ring()
            _, id, _, _ = lane.request()
            for _ in range(10):
                lane.ring()
            lane.send(answer(HEALTH, id, SERVING))

    with serving(script) as server, over_lane(server) as client:
        for _ in range(20):
            assert client.health().detail == "rdy"


def test_a_server_that_sleeps_is_woken_once():
    rung = []

    def script(peer):
        lane = LanePeer(peer, sleeps=True)
        for _ in range(5):
            health_once(lane)
        lane.sleeps = False
        for _ in range(5):
            health_once(lane)
        lane.socket.setblocking(False)
        rung.append(lane.socket.recv(100) if lane.word(REQUESTS, READER_SLEEPS) else b"")

    with serving(script) as server, over_lane(server) as client:
        for _ in range(10):
            assert client.health().detail == "rdy"
            time.sleep(0.01)
    assert rung == [b""]


def test_skipped_frames():
    def script(peer):
        lane = LanePeer(peer)
        skip = frame(0, 0, 0, b"", b"\1" * 100)
        _, id, _, _ = lane.request()
        lane.send(skip + answer(HEALTH, id, SERVING) + skip)
        health_once(lane)

    with serving(script) as server, over_lane(server) as client:
        assert client.health().detail == client.health().detail == "rdy"


def test_skipped_frames_are_for_lanes_alone():
    with serving(lambda peer: peer.request() and peer.send(frame(0, 0, 0))) as server:
        with apus.Client(server.address) as client, pytest.raises(apus.ProtocolError, match="kind 0"):
            client.health()


@pytest.mark.parametrize("control, offset, value", [
    (ANSWERS, WRITTEN, 9000), (ANSWERS, WRITTEN, (1 << 64) - 1),
    (REQUESTS, READ, 65), (REQUESTS, READ, 1 << 63)])
def test_words_that_make_no_sense(control, offset, value):
    def script(peer):
        lane = LanePeer(peer)
        health_once(lane)
        called.wait(10)
        lane.store(control, offset, value)
        told.set()
        assert lane.ended()

    called, told = threading.Event(), threading.Event()
    with serving(script) as server, over_lane(server) as client:
        client.health()
        called.set()
        told.wait(10)
        with pytest.raises(apus.ProtocolError, match="words of a ring"):
            client.health()


def test_a_word_that_lies_while_the_client_sleeps():
    def script(peer):
        lane = LanePeer(peer)
        lane.request()
        lane.until_client_sleeps()
        lane.store(ANSWERS, WRITTEN, 5000)
        lane.ring()
        assert lane.ended()

    with serving(script) as server, over_lane(server) as client:
        with pytest.raises(apus.ProtocolError, match="words of a ring"):
            client.health()


def test_a_frame_that_is_none():
    def script(peer):
        lane = LanePeer(peer)
        lane.request()
        lane.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert lane.ended()

    with serving(script) as server, over_lane(server) as client:
        with pytest.raises(apus.ProtocolError, match="not an Apus server"):
            client.health()


# The end


def test_a_server_that_dies_amid_a_call():
    def script(peer):
        lane = LanePeer(peer)
        lane.request()

    def half(peer):
        lane = LanePeer(peer)
        _, id, _, _ = lane.request()
        lane.put(answer(HEALTH, id, SERVING)[:40])

    def full(peer):
        """It no longer reads, and the request does not fit."""
        LanePeer(peer)

    with serving(script, half, full, lambda peer: health_once(LanePeer(peer))) as server:
        with over_lane(server) as client:
            for _ in range(2):
                with pytest.raises(apus.ConnectionLost):
                    client.health()
            with pytest.raises(apus.ConnectionLost):
                client.classify("m", column(5000))
            assert client.health().detail == "rdy"


def test_what_a_server_wrote_before_it_died_is_read():
    def script(peer):
        lane = LanePeer(peer)
        _, id, _, _ = lane.request()
        lane.until_client_sleeps()
        lane.put(answer(HEALTH, id, SERVING))

    with serving(script) as server, over_lane(server) as client:
        assert client.health().detail == "rdy"


@pytest.mark.parametrize("says_so", [False, True])
def test_a_lane_that_ended_between_calls_is_replaced(says_so):
    def script(peer):
        lane = LanePeer(peer)
        health_once(lane)
        if says_so:
            lane.send(goaway())
            sent.set()
            assert lane.ended()

    sent = threading.Event()
    with serving(script, lambda peer: health_once(LanePeer(peer))) as server, over_lane(server) as client:
        assert client.health().detail == "rdy"
        sent.wait(10 if says_so else 0.2)
        assert client.health().detail == "rdy"
        assert server.connections == 2


def test_goaway_amid_calls():
    def script(peer):
        lane = LanePeer(peer)
        _, first, _, body = lane.request()
        _, second, _, _ = lane.request()
        lane.send(goaway() + echoed(first, body) + status(CLASSIFY, second, 14, b"NOT_PROCESSED"))

    with serving(script, lambda peer: echo(LanePeer(peer))) as server, over_lane(server) as client:
        results = client.classify_many("m", [column(1, 1), column(1, 2)], labels=False)
        assert [result.probabilities.tolist() for result in results] == [[[1]], [[2]]]


def test_a_watch_goes_over_the_socket():
    def script(peer):
        _, id, _, _ = peer.request()
        peer.send(answer(0x106, id, b"\x08\x01"))

    with serving(script) as server:
        assert [one.status for one in over_lane(server).watch_health()] == [apus.ServingStatus.SERVING]


def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_nothing_is_left_behind():
    def script(peer):
        lane = LanePeer(peer)
        health_once(lane)
        lane.registered()
        _, id, _, _ = lane.request(1)
        lane.send(one_class(id, 0.5))
        lane.memory.close()

    def lying(peer):
        lane = LanePeer(peer)
        lane.store(ANSWERS, WRITTEN, 5000)
        lane.ring()
        assert lane.ended()
        lane.memory.close()

    def useless(peer):
        id, descriptor = asked_for_lane(peer), sealed(12288)
        socket.send_fds(peer.socket, [answer(OPEN_LANE, id, b"")], [descriptor])
        os.close(descriptor)

    before = descriptors()
    for _ in range(3):
        with serving(script, lying, useless) as server, over_lane(server) as client:
            client.health()
            with client.region(1 << 20) as region:
                client.classify("m", region.array(4), top=1)
                client.close()
            for _ in range(2):
                with pytest.raises(apus.ProtocolError):
                    client.health()
    assert descriptors() == before


def test_a_descriptor_that_came_with_a_refusal_is_closed():
    def script(peer):
        id, descriptor = asked_for_lane(peer), sealed(4096)
        socket.send_fds(peer.socket, [status(OPEN_LANE, id, 8)], [descriptor, descriptor])
        os.close(descriptor)
        health_once(peer)

    before = descriptors()
    with serving(script) as server, apus.Client(server.address, lane="auto") as client:
        client.health()
    assert descriptors() == before


# Regions


def of_region(lane, number, offset, shape):
    """Reads a Classify whose part lies in a region, and gives its id."""
    method, id, metadata, body = lane.request(1)
    dimensions, length = b"".join(map(varint, shape)), varint(4 * int(np.prod(shape)))
    part = b"\x08\x01\x12" + varint(len(dimensions)) + dimensions
    part += (b"\x18" + varint(offset) if offset else b"") + b"\x20" + length + b"\x38" + varint(number)
    assert (method, body) == (CLASSIFY, b"") and b"\x22" + varint(len(part)) + part in metadata
    return id


def test_arrays_in_a_region_are_not_sent():
    def script(peer):
        lane = LanePeer(peer)
        number, memory = lane.registered()
        assert (number, len(memory)) == (1, 100_000)
        id = of_region(lane, 1, 0, (20_000, 1))
        lane.send(echoed(id, memory[:80_000]))
        id = of_region(lane, 1, 64, (1, 16))
        lane.send(one_class(id, struct.unpack_from("<f", memory, 64)[0]))
        id = of_region(lane, 1, 99_968, (1, 8))
        lane.send(one_class(id, struct.unpack_from("<f", memory, 99_968)[0]))

    with serving(script) as server, over_lane(server) as client, client.region(100_000) as region:
        values = region.array((20_000, 1))
        assert not values.any() and values.dtype == np.float32
        values[:] = column(20_000)
        assert np.array_equal(client.classify("m", values, labels=False).probabilities, values)
        values[16:] = 0.25
        assert client.classify("m", values[16:32, 0], top=1).probabilities.tolist() == [0.25]
        last = region.array(8, offset=99_968)
        last[:] = 0.75
        assert client.classify("m", last, top=1).probabilities.tolist() == [0.75]


def test_arrays_that_the_server_could_not_find_are_sent():
    inputs = []

    def script(peer):
        lane = LanePeer(peer)
        for _ in inputs:
            _, id, _, body = lane.request()
            lane.send(one_class(id, float(len(body))))

    with client_and_region(script) as (client, region):
        values = region.array((64, 16))
        inputs += [values[:, :8], values[0, 1:], values.astype(np.float64), np.zeros(4, np.float32),
                   values[::2].reshape(1, -1), region.array(16, ">f4"), list(values[0])]
        for array in inputs:
            array = array.reshape(1, -1) if isinstance(array, np.ndarray) else array
            assert client.classify("m", array, top=1).probabilities.flat[0] == 4 * np.size(array)


class client_and_region:
    """A client of a scripted server, and a region of its."""

    def __init__(self, *scripts):
        self.serving = serving(*scripts)

    def __enter__(self):
        self.client = over_lane(self.serving.__enter__())
        self.region = self.client.region(1 << 16)
        return self.client, self.region

    def __exit__(self, *error):
        self.region.close()
        self.client.close()
        return self.serving.__exit__(*error)


def test_each_connection_registers_once():
    def script(peer):
        lane = LanePeer(peer)
        health_once(lane)
        lane.registered()
        for _ in range(4):
            lane.send(one_class(of_region(lane, 1, 0, (1, 4)), 0.5))

    with client_and_region(script, script) as (client, region):
        for _ in range(2):
            client.health()
            client.classify_many("m", [region.array(4)] * 3, top=1)
            client.classify("m", region.array(4), top=1)
            client.close()


def test_over_a_socket_a_region_is_sent():
    with serving(echo) as server, apus.Client(server.address) as client, client.region(4096) as region:
        values = region.array((9, 1), offset=64)
        values[:] = column(9)
        assert np.array_equal(client.classify("m", values, labels=False).probabilities, column(9))


def test_closing_a_region():
    def script(peer):
        lane = LanePeer(peer)
        lane.registered()
        lane.send(one_class(of_region(lane, 1, 0, (1, 4)), 0.5))
        method, id, metadata, _ = lane.request()
        assert (method, metadata) == (UNREGISTER_REGION, b"\x08\x01")
        lane.send(answer(UNREGISTER_REGION, id))
        _, id, _, body = lane.request()
        lane.send(one_class(id, struct.unpack_from("<f", body)[0]))
        assert lane.registered()[0] == 2
        lane.send(one_class(of_region(lane, 2, 0, (1, 4)), 0.5))

    with serving(script) as server, over_lane(server) as client:
        region = client.region(4096)
        values = region.array(4)
        values[:] = 0.25
        client.classify("m", values, top=1)
        region.close()
        region.close()
        with pytest.raises(ValueError, match="closed"):
            region.array(4)
        assert client.classify("m", values, top=1).probabilities.tolist() == [0.25]
        second = client.region(4096)
        client.classify("m", second.array(4), top=1)
        client.close()
        second.close()


def test_a_server_that_ends_while_a_region_is_closed():
    def script(peer):
        lane = LanePeer(peer)
        lane.registered()
        lane.send(one_class(of_region(lane, 1, 0, (1, 4)), 0.5))

    with serving(script, lambda peer: health_once(LanePeer(peer))) as server, over_lane(server) as client:
        with client.region(4096) as region:
            client.classify("m", region.array(4), top=1)
        assert client.health().detail == "rdy"


@pytest.mark.parametrize("late", [False, True])
def test_a_region_that_the_server_refuses(late):
    def script(peer):
        lane = LanePeer(peer)
        _, id, _, _ = lane.request()
        if late:
            lane.send(answer(REGISTER_REGION, id, flags=4))
            os.close(lane.descriptor())
        lane.send(status(REGISTER_REGION, id, 8, b"REGION_LIMIT"))
        health_once(lane)

    with client_and_region(script) as (client, region):
        with pytest.raises(apus.ResourceExhausted) as caught:
            client.classify_many("m", [region.array(4)] * 3, top=1)
        assert caught.value.reason == "REGION_LIMIT"
        assert client.health().detail == "rdy", "the connection is kept"


def test_goaway_while_a_region_is_registered():
    def script(peer):
        lane = LanePeer(peer)
        _, id, _, _ = lane.request()
        lane.send(goaway() + status(REGISTER_REGION, id, 14, b"NOT_PROCESSED"))
        _, id, _, _ = lane.request()
        lane.send(status(CLASSIFY, id, 14, b"NOT_PROCESSED"))

    def next_script(peer):
        lane = LanePeer(peer)
        lane.registered()
        lane.send(one_class(of_region(lane, 1, 0, (1, 4)), 0.5))
        lane.ended()

    with serving(script, next_script) as server, over_lane(server) as client:
        region = client.region(4096)
        assert client.classify("m", region.array(4), top=1).probabilities.tolist() == [0.5]
        client.close()
        region.close()


@pytest.mark.parametrize("reply", [
    lambda id: answer(REGISTER_REGION, id),
    lambda id: answer(REGISTER_REGION, id, flags=4) * 2,
    lambda id: answer(REGISTER_REGION, id + 1, flags=4),
    lambda id: answer(CLASSIFY, id, flags=4),
    lambda id: answer(REGISTER_REGION, id, b"", b"body", flags=4),
    lambda id: answer(REGISTER_REGION, id, flags=6),
])
def test_answers_that_a_registration_cannot_have(reply):
    def script(peer):
        lane = LanePeer(peer)
        lane.send(reply(lane.request()[1]))
        assert lane.ended()

    with client_and_region(script) as (client, region), pytest.raises(apus.ProtocolError):
        client.classify("m", region.array(4), top=1)


def test_regions_that_cannot_be():
    client = apus.Client("unix:/nonexistent")
    for size in (0, -1):
        with pytest.raises(ValueError, match="one byte at least"):
            client.region(size)
    with client.region(1000) as region:
        for shape, dtype, offset in ((251, "float32", 0), (1, "float32", 4), (1, "float32", 1024),
                                     (1, "float32", -64), ((-1, 4), "float32", 0), (126, "float64", 0)):
            with pytest.raises(ValueError, match="does not lie"):
                region.array(shape, dtype, offset)
        assert region.array((5, 50)).shape == (5, 50) and region.array(1000, "uint8").nbytes == 1000
        assert "1000" in repr(region)


def test_arrays_outlive_their_region():
    with apus.Client("unix:/nonexistent") as client:
        region = client.region(4096)
        values = region.array(1024)
        values[:] = 1
        region.close()
        del region
        gc.collect()
        assert values.sum() == 1024


def test_threads_share_a_lane():
    def script(peer):
        lane = LanePeer(peer, sleeps=True)
        for _ in range(60):
            echo(lane)

    def calls():
        for n in range(20):
            assert client.classify("m", column(50, n), labels=False).probabilities[-1, 0] == n + 49
            done.append(n)

    done = []
    with serving(script) as server, over_lane(server) as client:
        threads = [threading.Thread(target=calls) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert len(done) == 60
