"""Regions against a scripted server: which arrays lie in one, and how the server comes to look into it."""

import gc
import os
import struct

import numpy as np
import pytest

import apus
from fake import CLASSIFY, answer, goaway, one_class, serving, status
from fake_lane import (
    REGISTER_REGION,
    UNREGISTER_REGION,
    LanePeer,
    column,
    echo,
    echoed,
    health_once,
    over_lane,
    varint,
)


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
