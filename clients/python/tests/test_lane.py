"""Lanes against a scripted server: the rings, their bells, and what is believed of them."""

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
    REQUESTS,
    SERVING,
    WRITTEN,
    LanePeer,
    asked_for_lane,
    column,
    echo,
    echoed,
    health_once,
    lane_message,
    over_lane,
    ring_message,
    sealed,
)
from test_token import TOKEN, greeted

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
