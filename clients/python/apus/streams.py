"""The bytes on both sides of a connection: those that wait to be sent, and those of a frame not yet whole.

A large body is in memory once: it is sent from where its caller has it, and received where it stays.
"""

from __future__ import annotations

from collections import deque
from typing import Optional, Union

from . import wire
from .wire import Frame

Piece = Union[bytes, bytearray, memoryview]


class Outgoing:
    """What waits to be sent: bytes, which are copied, and memoryviews, which are sent from where they lie."""

    def __init__(self) -> None:
        self._pieces: deque[Union[bytearray, memoryview]] = deque()

    def __len__(self) -> int:
        return sum(len(piece) for piece in self._pieces)

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, piece: Piece) -> None:
        if isinstance(piece, memoryview):
            self._pieces.append(piece)
        elif self._pieces and isinstance(self._pieces[-1], bytearray):
            self._pieces[-1] += piece
        else:
            self._pieces.append(bytearray(piece))

    @property
    def first(self) -> Union[bytearray, memoryview]:
        """What goes next."""
        return self._pieces[0]

    def sent(self, count: int) -> None:
        """So many bytes of `first` have gone."""
        first = self._pieces[0]
        if count >= len(first):
            self._pieces.popleft()
        elif isinstance(first, bytearray):
            del first[:count]
        else:
            self._pieces[0] = first[count:]

    def clear(self) -> None:
        self._pieces.clear()


class Incoming:
    """What was received of the frames to come. A large one gets memory of its own once its size is known."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._bytes = bytearray()
        self._large: Optional[bytearray] = None
        self._count = 0

    @property
    def space(self) -> Optional[memoryview]:
        """Where the next bytes of a large frame belong; None: there is none under way."""
        return None if self._large is None else memoryview(self._large)[self._count :]

    def received(self, count: int) -> None:
        """So many bytes have been put into `space`."""
        self._count += count

    def add(self, data: bytes) -> None:
        space = self.space
        if space is None:
            self._bytes += data
            return
        count = min(len(space), len(data))
        space[:count] = memoryview(data)[:count]
        self._count += count
        self._bytes += memoryview(data)[count:]

    def next_frame(self, in_lane: bool) -> Optional[Frame]:
        """The first whole frame, which is given back."""
        if self._large is not None:
            return self._take_large(in_lane) if self._count == len(self._large) else None
        if not self._bytes:
            return None
        decoded = wire.decode_frame(self._bytes, in_lane)
        if decoded is None:
            self._make_room(in_lane)
            return None
        frame, size = decoded
        del self._bytes[:size]
        return frame

    def _make_room(self, in_lane: bool) -> None:
        head = wire.decode_head(self._bytes, in_lane)
        if head is None or head.size < wire.LARGE_BYTES:
            return
        self._large, self._count = bytearray(head.size), len(self._bytes)
        self._large[: self._count] = self._bytes
        self._bytes = bytearray()

    def _take_large(self, in_lane: bool) -> Optional[Frame]:
        whole, self._large = self._large, None
        decoded = wire.decode_frame(whole or bytearray(), in_lane, copies=False)
        return decoded[0] if decoded else None
