"""Frames and protobuf by hand: bytes in, values out, no input or output.

A frame is a header of 32 bytes, metadata (one protobuf message), zeros up to a multiple of 64, the body, and
zeros up to a multiple of 64. Nothing that a server sends is believed before it is checked.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import struct
from typing import Any, NamedTuple, Optional, TypeVar, Union

from .errors import ProtocolError

MAGIC = b"APUS"
VERSION = 1
MAX_METADATA_BYTES = 64 << 10
MAX_BODY_BYTES = 64 << 20
# Longer bodies are not copied on their way.
LARGE_BYTES = 128 << 10

KIND_SKIP, KIND_REQUEST, KIND_ANSWER, KIND_GOAWAY = 0, 1, 2, 4
FLAG_REGION, FLAG_STATUS, FLAG_MORE = 1, 2, 4

# magic, version, kind, method, id, metadata length, flags, body length
HEADER = struct.Struct("<4sBBHQIIQ")

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
FLOATS = {"float": struct.Struct("<f"), "double": struct.Struct("<d")}

Message = TypeVar("Message")


class Frame(NamedTuple):
    kind: int
    method: int
    id: int
    flags: int
    metadata: bytes
    body: Union[bytes, memoryview]


class Head(NamedTuple):
    """What a frame's header says, and where its parts lie."""

    kind: int
    method: int
    id: int
    flags: int
    metadata_end: int
    body_start: int
    body_end: int
    size: int


def padding(length: int) -> bytes:
    """The zeros from `length` to the next multiple of 64."""
    return bytes(-length % 64)


def encode_frame(kind: int, method: int, id: int, metadata: bytes, body: Any = b"", flags: int = 0) -> bytes:
    """A whole frame; raises ValueError where it is longer than a server takes."""
    return b"".join(encode_pieces(kind, method, id, metadata, body, flags))


def encode_pieces(kind: int, method: int, id: int, metadata: bytes, body: Any = b"",
                  flags: int = 0) -> list[Any]:
    """The frame in pieces, of which the body stays as it is if it is a memoryview of many bytes."""
    if len(metadata) > MAX_METADATA_BYTES:
        raise ValueError(f"the request's metadata has {len(metadata)} bytes, at most {MAX_METADATA_BYTES} go")
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"the input has {len(body)} bytes, at most {MAX_BODY_BYTES} go: send fewer rows")
    header = HEADER.pack(MAGIC, VERSION, kind, method, id, len(metadata), flags, len(body))
    before_body = padding(len(header) + len(metadata))
    head = b"".join((header, metadata, before_body))
    if isinstance(body, memoryview) and len(body) >= LARGE_BYTES:
        return [head, body, padding(len(body))]
    return [b"".join((head, body, padding(len(body))))]


def decode_head(received: bytearray, in_lane: bool = False) -> Optional[Head]:
    """What the header of the first frame in `received` says, or None as long as it is not whole.

    In a lane there may be frames of the kind skip as well, which mean nothing.
    """
    if received[:4] != MAGIC[: len(received)]:
        raise ProtocolError(f"not an Apus server: the answer begins with {bytes(received[:4])!r}")
    if len(received) < HEADER.size:
        return None
    _, version, kind, method, id, metadata_length, flags, body_length = HEADER.unpack_from(received)
    if version != VERSION:
        raise ProtocolError(f"the server speaks version {version} of the protocol, this client {VERSION}")
    if kind not in (KIND_ANSWER, KIND_GOAWAY) and not (in_lane and kind == KIND_SKIP):
        raise ProtocolError(f"a server does not send frames of kind {kind}")
    if flags & ~(FLAG_STATUS | FLAG_MORE):
        raise ProtocolError(f"the answer has flags {flags:#x} that were not asked for")
    if metadata_length > MAX_METADATA_BYTES:
        raise ProtocolError(f"metadata of {metadata_length} bytes is over the limit of {MAX_METADATA_BYTES}")
    if body_length > MAX_BODY_BYTES:
        raise ProtocolError(f"a body of {body_length} bytes is over the limit of {MAX_BODY_BYTES}")
    metadata_end = HEADER.size + metadata_length
    body_start = metadata_end + -metadata_end % 64
    body_end = body_start + body_length
    size = body_end + -body_end % 64
    return Head(kind, method, id, flags, metadata_end, body_start, body_end, size)


def decode_frame(received: bytearray, in_lane: bool = False,
                 copies: bool = True) -> Optional[tuple[Frame, int]]:
    """The first frame in `received` and its size in bytes, or None as long as it is not whole.

    Without `copies` its body stays in `received`, which then belongs to it.
    """
    head = decode_head(received, in_lane)
    if head is None or len(received) < head.size:
        return None
    if any(received[head.metadata_end : head.body_start]) or any(received[head.body_end : head.size]):
        raise ProtocolError("the padding of a frame is not zero")
    metadata = bytes(received[HEADER.size : head.metadata_end])
    body = memoryview(received)[head.body_start : head.body_end]
    kept: Union[bytes, memoryview] = body
    if copies:
        kept = bytes(body)
        body.release()
    return Frame(head.kind, head.method, head.id, head.flags, metadata, kept), head.size


def write_varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; negative values as 64-bit two's complement."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The value at `position`, below 2^64, and the position after it."""
    value = 0
    for index in range(10):
        if position >= len(data):
            raise ProtocolError("a message ends inside a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value >> 64:
                break
            return value, position
    raise ProtocolError("a number in a message has more than 64 bits")


@functools.lru_cache(maxsize=None)
def fields_by_number(message_type: Any) -> dict[int, dataclasses.Field[Any]]:
    return {field.metadata["number"]: field for field in dataclasses.fields(message_type)}


def encode(message: Any) -> bytes:
    """The message's bytes, fields in the order of their numbers, defaults left out, numbers packed."""
    written = []
    for number, field in sorted(fields_by_number(type(message)).items()):
        kind, value = field.metadata["kind"], getattr(message, field.name)
        if not value:
            continue
        if not field.metadata["repeated"]:
            written.append(encode_field(number, kind, value))
        elif wire_type_of(kind) == DELIMITED:
            written.extend(encode_field(number, kind, element) for element in value)
        else:
            written.append(encode_field(number, "bytes", b"".join(write_number(kind, one) for one in value)))
    return b"".join(written)


def encode_field(number: int, kind: Any, value: Any) -> bytes:
    wire_type = wire_type_of(kind)
    key = write_varint(number << 3 | wire_type)
    if wire_type != DELIMITED:
        return key + write_number(kind, value)
    if kind == "string":
        value = value.encode()
    elif kind != "bytes":
        value = encode(value)
    return key + write_varint(len(value)) + bytes(value)


def write_number(kind: Any, value: Any) -> bytes:
    if kind in FLOATS:
        return FLOATS[kind].pack(value)
    return write_varint(int(value))


def wire_type_of(kind: Any) -> int:
    if kind in FLOATS:
        return FIXED32 if kind == "float" else FIXED64
    if kind in ("string", "bytes") or dataclasses.is_dataclass(kind):
        return DELIMITED
    return VARINT


def decode(message_type: type[Message], data: bytes) -> Message:
    """The message in `data`; unknown fields are skipped, and of a message field's parts one is made.

    Protobuf's rule that the bytes of two messages, one after the other, are their merger holds here, so the
    frames of a long answer are joined before they are decoded.
    """
    fields = fields_by_number(message_type)
    values: dict[str, Any] = {}
    position = 0
    while position < len(data):
        key, position = read_varint(data, position)
        payload, position = read_payload(data, position, key & 7)
        if not 1 <= key >> 3 < 1 << 29:
            raise ProtocolError(f"a message has a field numbered {key >> 3}")
        field = fields.get(key >> 3)
        if field is not None:
            take_field(values, field, key & 7, payload)
    for field in fields.values():
        kind: Any = field.metadata["kind"]
        if dataclasses.is_dataclass(kind) and not field.metadata["repeated"] and field.name in values:
            values[field.name] = decode(kind, bytes(values[field.name]))
    return message_type(**values)


def read_payload(data: bytes, position: int, wire_type: int) -> tuple[Any, int]:
    """An int for a varint, the bytes for every other wire type, and the position after them."""
    if wire_type == VARINT:
        return read_varint(data, position)
    if wire_type == DELIMITED:
        length, position = read_varint(data, position)
    elif wire_type in (FIXED32, FIXED64):
        length = 4 if wire_type == FIXED32 else 8
    else:
        raise ProtocolError(f"a message has a field of wire type {wire_type}")
    if length > len(data) - position:
        raise ProtocolError(f"a field of {length} bytes is longer than its message")
    return data[position : position + length], position + length


def take_field(values: dict[str, Any], field: dataclasses.Field[Any], wire_type: int, payload: Any) -> None:
    kind, repeated, name = field.metadata["kind"], field.metadata["repeated"], field.name
    expected = wire_type_of(kind)
    if repeated and expected != DELIMITED and wire_type == DELIMITED:
        elements, position = values.setdefault(name, []), 0
        while position < len(payload):
            value, position = read_payload(payload, position, expected)
            elements.append(convert(kind, value))
    elif wire_type != expected:
        raise ProtocolError(f"field {name} has wire type {wire_type} instead of {expected}")
    elif repeated:
        values.setdefault(name, []).append(convert(kind, payload))
    elif dataclasses.is_dataclass(kind):
        values.setdefault(name, bytearray()).extend(payload)
    else:
        values[name] = convert(kind, payload)


def convert(kind: Any, payload: Any) -> Any:
    """The value of a field from what the wire holds; an enum's unknown number stays a number."""
    if kind == "string":
        try:
            return payload.decode()
        except UnicodeDecodeError:
            raise ProtocolError("a text in a message is not UTF-8") from None
    if kind in ("bytes", "uint64"):
        return payload
    if kind in FLOATS:
        return FLOATS[kind].unpack(payload)[0]
    if kind == "uint32":
        return payload & 0xFFFF_FFFF
    if kind == "int64":
        return payload - (1 << 64) if payload >> 63 else payload
    if kind == "bool":
        return payload != 0
    if issubclass(kind, enum.IntEnum):
        return kind(payload) if payload in kind._value2member_map_ else payload
    return decode(kind, payload)
