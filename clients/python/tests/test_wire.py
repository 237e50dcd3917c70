"""Frames and messages against bytes written out by hand, which so document the wire."""

import pytest

from apus import wire
from apus.errors import ProtocolError
from apus.messages import (
    ClassifyRequest,
    DataType,
    Drift,
    HealthResponse,
    ModelState,
    Part,
    ServingStatus,
    Status,
    StatsResponse,
    TensorInfo,
)
from apus.messages import ModelInfo

CLASSIFY_FRAME = bytes.fromhex(
    # header, 32 bytes
    "41505553"  # magic "APUS"
    "01"  # protocol version 1
    "01"  # kind 1: request
    "0101"  # method 0x0101, Classify
    "0700000000000000"  # id 7
    "0f000000"  # 15 bytes of metadata
    "00000000"  # no flags
    "0800000000000000"  # 8 bytes of body
    # metadata, a ClassifyRequest
    "0a016d"  # field 1, model: "m"
    "2208"  # field 4, inputs: a Part of 8 bytes
    "0801"  # .. field 1, dtype: FLOAT32
    "12020102"  # .. field 2, shape, packed: 1, 2
    "2008"  # .. field 4, length: 8 (the offset, 0, is left out)
    "2801"  # field 5, top_k: 1
    # zeros up to 64
    "0000000000000000000000000000000000"
    # body: 1.0 and -2.0
    "0000803f000000c0"
    # zeros up to 128
    + "00" * 56
)


def classify_request() -> ClassifyRequest:
    part = Part(dtype=DataType.FLOAT32, shape=[1, 2], length=8)
    return ClassifyRequest(model="m", inputs=[part], top_k=1)


def answer_frame() -> bytearray:
    """A Health answer, SERVING, with a body of one byte to have padding after it."""
    return bytearray.fromhex(
        "41505553 01 02 0201 0900000000000000 02000000 00000000 0100000000000000"
        "0801" + "00" * 30 + "ff" + "00" * 63
    )


def test_golden_request():
    body = bytes.fromhex("0000803f000000c0")
    assert wire.encode_frame(1, 0x0101, 7, wire.encode(classify_request()), body) == CLASSIFY_FRAME


def test_golden_answer():
    frame, size = wire.decode_frame(answer_frame() + b"APUS")
    assert frame == wire.Frame(2, 0x0102, 9, 0, b"\x08\x01", b"\xff")
    assert size == 128


def test_a_frame_is_read_only_when_whole():
    whole = answer_frame()
    for cut in range(len(whole)):
        assert wire.decode_frame(whole[:cut]) is None, cut


@pytest.mark.parametrize(
    "offset, value, complaint",
    [
        (0, b"HTTP", "not an Apus server"),
        (3, b"T", "not an Apus server"),
        (4, b"\x02", "version 2"),
        (5, b"\x00", "kind 0"),
        (5, b"\x01", "kind 1"),
        (5, b"\x05", "kind 5"),
        (16, b"\x01\x00\x01\x00", "65537 bytes is over the limit"),
        (16, b"\xff\xff\xff\xff", "over the limit"),
        (20, b"\x01", "flags 0x1"),
        (20, b"\x08", "flags 0x8"),
        (24, b"\x01\x00\x00\x04\x00\x00\x00\x00", "67108865 bytes is over the limit"),
        (24, b"\x00\x00\x00\x00\x00\x00\x00\x80", "over the limit"),
        (34, b"\x01", "padding"),
        (63, b"\x80", "padding"),
        (65, b"\x01", "padding"),
        (127, b"\x01", "padding"),
    ],
)
def test_broken_frames(offset, value, complaint):
    broken = answer_frame()
    broken[offset : offset + len(value)] = value
    with pytest.raises(ProtocolError, match=complaint):
        wire.decode_frame(broken)


def test_lengths_are_refused_before_the_bytes_come():
    broken = answer_frame()[:32]
    broken[24:32] = b"\xff" * 8
    with pytest.raises(ProtocolError, match="over the limit"):
        wire.decode_frame(broken)


def test_a_wrong_magic_is_refused_at_its_first_byte():
    with pytest.raises(ProtocolError, match="not an Apus server"):
        wire.decode_frame(bytearray(b"H"))


@pytest.mark.parametrize("metadata, body", [((64 << 10) + 1, 0), (0, (64 << 20) + 1)])
def test_requests_over_the_limits_are_not_sent(metadata, body):
    with pytest.raises(ValueError, match="at most"):
        wire.encode_frame(1, 0x0101, 1, bytes(metadata), bytes(body))


@pytest.mark.parametrize(
    "value, written",
    [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (16383, "ff7f"),
        (16384, "808001"),
        ((1 << 32) - 1, "ffffffff0f"),
        (1 << 32, "8080808010"),
        ((1 << 63) - 1, "ffffffffffffffff7f"),
        (1 << 63, "80808080808080808001"),
        ((1 << 64) - 1, "ffffffffffffffffff01"),
    ],
)
def test_varints(value, written):
    data = bytes.fromhex(written)
    assert wire.write_varint(value) == data
    assert wire.read_varint(b"\xaa" + data + b"\xbb", 1) == (value, 1 + len(data))
    for cut in range(len(data)):
        with pytest.raises(ProtocolError, match="ends inside"):
            wire.read_varint(data[:cut], 0)


@pytest.mark.parametrize("written", ["ffffffffffffffffff02", "8080808080808080807f", "80" * 10 + "01"])
def test_varints_of_more_than_64_bits(written):
    with pytest.raises(ProtocolError, match="64 bits"):
        wire.read_varint(bytes.fromhex(written), 0)


def test_a_varint_may_be_longer_than_it_needs():
    assert wire.read_varint(b"\x81\x00", 0) == (1, 2)


def test_negative_numbers_and_unpacked_lists():
    packed = bytes.fromhex("1a0b ffffffffffffffffff01 40")
    unpacked = bytes.fromhex("18 ffffffffffffffffff01 18 40")
    assert wire.decode(TensorInfo, packed).shape == [-1, 64]
    assert wire.decode(TensorInfo, unpacked).shape == [-1, 64]
    assert wire.encode(TensorInfo(shape=[-1, 64])) == packed


def test_doubles():
    packed = bytes.fromhex("09 000000000000d03f  12 10 000000000000f83f 00000000000000c0  18 07")
    unpacked = bytes.fromhex("09 000000000000d03f  11 000000000000f83f  11 00000000000000c0  18 07")
    drift = Drift(classes=0.25, inputs=[1.5, -2.0], rows_total=7)
    assert wire.decode(Drift, packed) == wire.decode(Drift, unpacked) == drift
    assert wire.encode(drift) == packed


@pytest.mark.parametrize(
    "data, complaint",
    [
        ("12 0c 000000000000f83f 00000000", "longer than its message"),
        ("09 00000000", "longer than its message"),
        ("0d 00000000", "classes has wire type 5 instead of 1"),
        ("10 01", "inputs has wire type 0 instead of 1"),
    ],
)
def test_broken_doubles(data, complaint):
    with pytest.raises(ProtocolError, match=complaint):
        wire.decode(Drift, bytes.fromhex(data))


def test_unknown_fields_and_numbers_are_kept_out_of_the_way():
    unknown = "f8ff03 05  f9ff03 0102030405060708  faff03 02 abcd  fdff03 01020304"
    assert wire.decode(Status, bytes.fromhex(unknown + "0805" + unknown)) == Status(code=5)
    assert wire.decode(HealthResponse, b"\x08\x63").status == 99
    assert wire.decode(HealthResponse, b"\x08\x01").status is ServingStatus.SERVING


def test_the_last_of_a_single_field_counts_and_messages_merge():
    assert wire.decode(Status, bytes.fromhex("0805 080e")).code == 14
    first = bytes.fromhex("0a03 0a0161 1203 0a0178")  # server {version "a"}, a model "x"
    second = bytes.fromhex("0a02 1007 1203 0a0179")  # server {uptime 7}, a model "y"
    stats = wire.decode(StatsResponse, first + second)
    assert (stats.server.version, stats.server.uptime_ns) == ("a", 7)
    assert [model.model for model in stats.models] == ["x", "y"]


def test_a_model():
    data = bytes.fromhex("0a0164 1002 1802 2a03707468 3202abcd 3a0161 3a0162 60c01e 688008")
    info = wire.decode(ModelInfo, data)
    assert info == ModelInfo(
        name="d", version=2, state=ModelState.READY, format="pth", digest=b"\xab\xcd", aliases=["a", "b"],
        parameters=3904, max_batch_rows=1024)


@pytest.mark.parametrize(
    "data, complaint",
    [
        ("0a05 6162", "longer than its message"),
        ("0affffffffffffffffff01", "longer than its message"),
        ("25 010203", "longer than its message"),
        ("21 01", "longer than its message"),
        ("08", "ends inside"),
        ("0b", "wire type 3"),
        ("0c", "wire type 4"),
        ("0f", "wire type 7"),
        ("00 01", "numbered 0"),
        ("8080808010 01", "numbered"),
        ("12 02 c328", "UTF-8"),
        ("0a 01 61", "code has wire type 2 instead of 0"),
        ("10 01", "message has wire type 0 instead of 2"),
    ],
)
def test_broken_messages(data, complaint):
    with pytest.raises(ProtocolError, match=complaint):
        wire.decode(Status, bytes.fromhex(data))


def test_fields_of_every_length_survive():
    for length in (0, 1, 127, 128, 16383, 16384):
        status = Status(code=3, message="x" * length, retry_after_ns=1 << 63)
        assert wire.decode(Status, wire.encode(status)) == status


def test_no_bytes_raise_anything_but_a_protocol_error():
    import random

    source = random.Random(1)
    valid = wire.encode(classify_request())
    for _ in range(3000):
        data = bytearray(valid)
        for _ in range(source.randrange(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        for message in (ClassifyRequest, ModelInfo, StatsResponse):
            try:
                wire.decode(message, bytes(data))
            except ProtocolError:
                pass
