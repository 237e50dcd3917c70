"""Regions: memory of the client's that a server may look into, so that large inputs are not copied."""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import weakref
from collections.abc import Sequence
from typing import Any, Callable, NamedTuple, Optional, Union

import numpy as np

# Where a tensor in a region may begin.
ALIGNMENT = 64


class Region:
    """Memory that is shared with the server of one client; `Client.region` makes it.

    Arrays that lie in it, on a multiple of 64 bytes, are computed with where they lie if the connection is a
    lane, and are sent as any other array otherwise. Their numbers may not change until the answer has come,
    or it means nothing.
    """

    def __init__(self, number: int, byte_count: int, forget: Callable[[Region], None]) -> None:
        if byte_count < 1:
            raise ValueError(f"a region has one byte at least, not {byte_count}")
        self.number, self.byte_count = number, byte_count
        self.descriptor = sealed_memory(byte_count)
        self._close_descriptor = weakref.finalize(self, os.close, self.descriptor)
        self._bytes: Optional[np.ndarray] = map_shared(self.descriptor, byte_count)
        self._address = address_of(self._bytes)
        self._forget = forget

    def __repr__(self) -> str:
        return f"<region {self.number}, {self.byte_count} bytes>"

    def __enter__(self) -> Region:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        return self._bytes is not None

    def array(self, shape: Union[int, Sequence[int]], dtype: Any = "float32", offset: int = 0) -> np.ndarray:
        """An array of zeros, or of what was written there before; `offset` is in bytes, a multiple of 64."""
        if self._bytes is None:
            raise ValueError("the region is closed")
        dtype = np.dtype(dtype)
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=1) < 0 or offset < 0 or offset % ALIGNMENT or offset + size > self.byte_count:
            raise ValueError(f"{dtype} {shape} at {offset} does not lie in a region of {self.byte_count} "
                             f"bytes on a multiple of {ALIGNMENT}")
        return self._bytes[offset : offset + size].view(dtype).reshape(shape)

    def offset_of(self, values: np.ndarray) -> Optional[int]:
        """Where in the region a C-contiguous array begins, if the server can find it there."""
        offset = address_of(values) - self._address
        lies = self.is_open and 0 <= offset <= self.byte_count - values.nbytes and offset % ALIGNMENT == 0
        return offset if lies else None

    def close(self) -> None:
        """Ends the server's look into it. Arrays in it stay as they are, and are sent from now on."""
        if self._bytes is not None:
            self._bytes = None
            self._forget(self)
            self._close_descriptor()


class Place(NamedTuple):
    """Where an input lies."""

    region: Region
    offset: int


def place_of(values: np.ndarray, regions: Sequence[Region]) -> Optional[Place]:
    for region in regions:
        offset = region.offset_of(values)
        if offset is not None:
            return Place(region, offset)
    return None


def address_of(values: np.ndarray) -> int:
    return values.__array_interface__["data"][0]


def sealed_memory(byte_count: int) -> int:
    """The descriptor of memory that can never become smaller, as servers demand of what they look into."""
    if not hasattr(os, "memfd_create"):
        raise NotImplementedError("regions need memfd_create, which this system lacks: they are Linux's")
    descriptor = os.memfd_create("apus-region", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, byte_count)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def map_shared(descriptor: int, byte_count: int) -> np.ndarray:
    """The memory's bytes; it stays mapped for as long as an array lies in it."""
    return np.frombuffer(mmap.mmap(descriptor, byte_count), np.uint8)
