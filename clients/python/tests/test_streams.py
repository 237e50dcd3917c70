"""The bytes that wait to be sent, and those of frames that are not whole, without a connection."""

import pytest

from apus import wire
from apus.streams import Incoming, Outgoing

LARGE = wire.LARGE_BYTES


def answer(id, body):
    """The bytes of an answer with this body."""
    return wire.encode_frame(wire.KIND_ANSWER, 0x0101, id, b"\x08\x01", body)


def taken(outgoing, step):
    """All that waits, in pieces of `step` bytes at most."""
    sent = b""
    while outgoing:
        piece = bytes(outgoing.first[:step])
        sent += piece
        outgoing.sent(len(piece))
    return sent


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_bytes_go_in_order(step):
    outgoing = Outgoing()
    for piece in (b"ab", b"", b"c", memoryview(b"defg"), b"hi", memoryview(b"j" * 20), b"k"):
        outgoing.add(piece)
    assert len(outgoing) == 30
    assert taken(outgoing, step) == b"abcdefghi" + b"j" * 20 + b"k"
    assert not outgoing and len(outgoing) == 0


def test_small_pieces_go_together_and_large_ones_where_they_lie():
    outgoing, body = Outgoing(), bytearray(b"x" * LARGE)
    for piece in wire.encode_pieces(1, 0x0101, 1, b"m", memoryview(body)):
        outgoing.add(piece)
    outgoing.sent(len(outgoing.first))
    body[0:1] = b"y"
    assert bytes(outgoing.first[:2]) == b"yx"
    outgoing.clear()
    for _ in range(3):
        outgoing.add(b"small")
    assert bytes(outgoing.first) == b"smallsmallsmall"


@pytest.mark.parametrize("count", [0, 1, 63, LARGE - 1, LARGE])
def test_pieces_are_the_frame(count):
    body = bytes(range(256)) * (count // 256 + 1)
    body = body[:count]
    whole = wire.encode_frame(1, 0x0101, 9, b"metadata", body)
    assert b"".join(wire.encode_pieces(1, 0x0101, 9, b"metadata", memoryview(body))) == whole


@pytest.mark.parametrize("step", [61, 4096, 1 << 20])
def test_frames_of_all_sizes_come_whole(step):
    bodies = [b"a", b"b" * LARGE, b"", b"c" * (3 * LARGE + 1), b"d" * 100]
    received = b"".join(answer(id, body) for id, body in enumerate(bodies))
    incoming, frames = Incoming(), []
    for start in range(0, len(received), step):
        incoming.add(received[start : start + step])
        while frame := incoming.next_frame(in_lane=False):
            frames.append(frame)
    assert [(frame.id, bytes(frame.body)) for frame in frames] == list(enumerate(bodies))


def test_a_large_body_stays_where_it_is_received():
    whole = answer(1, b"z" * (2 * LARGE))
    incoming = Incoming()
    incoming.add(whole[:100])
    assert incoming.space is None and incoming.next_frame(in_lane=False) is None
    space = incoming.space
    assert space is not None and len(space) == len(whole) - 100
    space[:] = whole[100:]
    incoming.received(len(space))
    body = incoming.next_frame(in_lane=False).body
    assert isinstance(body, memoryview) and body.obj is space.obj and len(body) == 2 * LARGE
    assert incoming.space is None and incoming.next_frame(in_lane=False) is None
