"""Arrays into the body of a request, and the body of an answer into arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional, Union

import numpy as np

from . import wire
from .errors import ProtocolError
from .messages import ClassifyResponse, DataType, Part, TimeAccount

DATA_TYPES = {
    np.dtype(np.float32): DataType.FLOAT32,
    np.dtype(np.float64): DataType.FLOAT64,
    np.dtype(np.float16): DataType.FLOAT16,
    np.dtype(np.int8): DataType.INT8,
    np.dtype(np.uint8): DataType.UINT8,
    np.dtype(np.int32): DataType.INT32,
    np.dtype(np.uint32): DataType.UINT32,
    np.dtype(np.int64): DataType.INT64,
    np.dtype(np.bool_): DataType.BOOL,
}


@dataclass
class Classification:
    """The classes of one input, each field of shape (classes,), or of a batch, (rows, classes).

    With `top`, classes come by falling probability, otherwise in the order of their index. `scores` always
    covers every class, in the order of the index, and is None unless asked for; so is `labels`, as lists. The
    `indices` of an answer without `top` are one row, seen once for each, and cannot be written to.
    """

    probabilities: np.ndarray
    indices: np.ndarray
    labels: Union[list[str], list[list[str]], None]
    scores: Optional[np.ndarray]
    version: int
    load: float
    time: TimeAccount
    #: Why to leave the version that answered, and for which; empty: it is current.
    deprecated: str = ""


def as_input(array: Any) -> tuple[np.ndarray, bool]:
    """The array as the wire takes it, batch first, and whether it was one input rather than a batch.

    Lists and arrays of float64, numpy's default, become float32, which models take; other types stay.
    """
    values = np.asarray(array)
    if values.dtype == np.float64 or (not isinstance(array, np.ndarray) and values.dtype.kind in "iu"):
        values = values.astype(np.float32)
    if values.dtype.newbyteorder("=") not in DATA_TYPES:
        raise TypeError(f"arrays of {values.dtype} cannot be sent: use float32")
    if values.ndim == 0 or values.size == 0:
        raise ValueError(f"an input needs one dimension and one number at least, this one is {values.shape}")
    single = values.ndim == 1
    if single:
        values = values.reshape(1, -1)
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")), single


def part_of(values: np.ndarray) -> Part:
    """What the metadata says of an array that is the whole body."""
    data_type = DATA_TYPES[values.dtype.newbyteorder("=")]
    return Part(dtype=data_type, shape=list(values.shape), offset=0, length=values.nbytes)


def bytes_of(values: np.ndarray) -> np.ndarray:
    """The bytes of a C-contiguous array where they lie."""
    return values.reshape(-1).view(np.uint8)


def as_texts(text: Union[str, Sequence[str]]) -> tuple[list[bytes], bool]:
    """The texts in UTF-8, and whether it was one text rather than a batch."""
    single = isinstance(text, str)
    texts = [text] if single else list(text)
    if not texts:
        raise ValueError("there is no text to classify")
    for one in texts:
        if not isinstance(one, str):
            raise TypeError(f"a text is a str, not {type(one).__name__}")
    return [one.encode() for one in texts], single


def part_of_texts(texts: list[bytes]) -> Part:
    """What the metadata says of texts that are the whole body, one behind the other."""
    lengths = [len(text) for text in texts]
    return Part(dtype=DataType.UTF8, shape=[len(texts)], offset=0, length=sum(lengths), lengths=lengths)


class Asked(NamedTuple):
    """What a call wanted, by which its answer is read."""

    rows: int
    single: bool
    top: int
    labels: bool
    scores: bool


def read_classification(metadata: bytes, body: Union[bytes, memoryview], asked: Asked) -> Classification:
    """The answer, checked against what was asked."""
    answer = wire.decode(ClassifyResponse, metadata)
    rows, single, top, want_labels, want_scores = asked
    classes = answer.classes
    if answer.rows != rows:
        raise ProtocolError(f"the answer has {answer.rows} rows, the call had {rows}")
    if classes == 0 or (top and classes > top):
        raise ProtocolError(f"the answer has {classes} classes for each row, the call wanted {top or 'all'}")
    probabilities, end = read_part(answer.probabilities, body, 0, DataType.FLOAT32, [rows, classes])
    if top:
        indices, end = read_part(answer.indices, body, end, DataType.UINT32, [rows, classes])
    else:
        indices = np.broadcast_to(np.arange(classes, dtype=np.uint32), (rows, classes))
    raw_scores = None
    if want_scores:
        every_class = answer.scores.shape[-1] if answer.scores and answer.scores.shape else 0
        if every_class < classes or (not top and every_class != classes):
            raise ProtocolError(f"the answer has {every_class} scores for each row of {classes} classes")
        raw_scores, _ = read_part(answer.scores, body, end, DataType.FLOAT32, [rows, every_class])
    names = read_labels(answer.labels, indices) if want_labels else None
    time = answer.time or TimeAccount()
    if not single:
        return Classification(probabilities, indices, names, raw_scores, answer.version, answer.load, time,
                              answer.deprecated)
    return Classification(
        probabilities[0], indices[0], names and names[0], None if raw_scores is None else raw_scores[0],
        answer.version, answer.load, time, answer.deprecated)


def read_part(part: Optional[Part], body: Union[bytes, memoryview], start: int, data_type: DataType,
              shape: list[int]) -> tuple[np.ndarray, int]:
    """The tensor that `part` describes and where it ends; it may not begin before `start`."""
    if part is None:
        raise ProtocolError("the answer lacks a tensor that was asked for")
    if part.dtype != data_type or part.shape != shape or part.region != 0:
        raise ProtocolError(f"a tensor is {part.dtype!r} {part.shape} instead of {data_type!r} {shape}")
    length = math.prod(shape) * 4
    if part.length != length:
        raise ProtocolError(f"a tensor of shape {shape} has {part.length} bytes instead of {length}")
    if part.offset % 64 or part.offset < start or part.offset + length > len(body):
        raise ProtocolError(f"a tensor of {length} bytes at {part.offset} does not fit a body of {len(body)}")
    element = np.dtype("<f4" if data_type == DataType.FLOAT32 else "<u4")
    values = np.frombuffer(body, element, math.prod(shape), part.offset).reshape(shape)
    # What a large answer was received into is the answer's own.
    return values.astype(element.newbyteorder("="), copy=not values.flags.writeable), part.offset + length


def read_labels(labels: list[str], indices: np.ndarray) -> list[list[str]]:
    """Row by row; a class of a model without labels has its index as text."""
    rows, classes = indices.shape
    if not labels:
        return [[str(index) for index in row] for row in indices.tolist()]
    if len(labels) != rows * classes:
        raise ProtocolError(f"the answer has {len(labels)} labels for {rows} rows of {classes} classes")
    return [labels[row * classes : (row + 1) * classes] for row in range(rows)]
