"""A lane: two rings of bytes in memory shared with the server, through which a connection's frames go.

A ring has a reader and a writer, each in a process of its own, and four words in the shared memory. A side
that wants to sleep sets its word, and the other one then rings: it sends a byte on the socket. Nothing that
the server writes into the memory is believed before it is checked.
"""

from __future__ import annotations

import ctypes
import enum
import fcntl
import math
import mmap
import select
import socket
import threading
import time
from typing import Any, Optional, Union

from .errors import ProtocolError
from .messages import LaneRing, OpenLaneResponse
from .streams import Outgoing

# Passing descriptors and sealing memory are Linux's.
IS_SUPPORTED = hasattr(socket, "MSG_CMSG_CLOEXEC") and hasattr(fcntl, "F_GET_SEALS")

LAYOUT = 1
# Where a ring's words lie from its control offset on, and how many bytes belong to them.
WRITTEN, READ, READER_SLEEPS, WRITER_WAITS, CONTROL_BYTES = 0, 128, 256, 384, 512
COUNTER_MASK = (1 << 64) - 1
# How long a ring is looked at before sleeping: being woken takes longer than the answer of a small model.
POLL_SECONDS = 50e-6
# A server may ring more often than this side sleeps.
BELL_BYTES = 4096


class LaneUse(enum.Enum):
    """What becomes of a connection over a Unix socket."""

    NEVER = "never"
    AUTO = "auto"
    ALWAYS = "always"


class Barrier:
    """A full memory barrier between two threads that share memory, this one and one of another process.

    Python has none of its own. A lock that nobody else knows is given back and taken again: both are atomic
    read-modify-write instructions, the first with release and the second with acquire semantics, across which
    neither x86 nor arm64 moves loads or stores.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def __call__(self) -> None:
        self._lock.release()
        self._lock.acquire()


class Ring:
    """This side's end of a ring: the one that writes it, or the one that reads it.

    `_own` is the counter that this side stores and `_other` that of the other side; `_wish` asks the other
    side for a bell, and by `_other_wish` it asks this one. Each is an aligned word, stored and loaded whole.
    They are never put into variables: the memory can be unmapped once nothing refers to them.
    """

    def __init__(self, memory: mmap.mmap, place: LaneRing, barrier: Barrier, writes: bool) -> None:
        def word(kind: Any, offset: int) -> Any:
            return kind.from_buffer(memory, place.control_offset + offset)

        self._memory, self._start, self._size = memory, place.data_offset, place.bytes
        self._barrier, self._writes, self._position = barrier, writes, 0
        own, other = (WRITTEN, READ) if writes else (READ, WRITTEN)
        self._own, self._other = word(ctypes.c_uint64, own), word(ctypes.c_uint64, other)
        own, other = (WRITER_WAITS, READER_SLEEPS) if writes else (READER_SLEEPS, WRITER_WAITS)
        self._wish, self._other_wish = word(ctypes.c_uint32, own), word(ctypes.c_uint32, other)

    def close(self) -> None:
        """Lets go of the memory."""
        self._own = self._other = self._wish = self._other_wish = None

    @property
    def available(self) -> int:
        """Bytes that can be read, or that there is room for."""
        ahead = self._other.value - self._position
        unread = (-ahead if self._writes else ahead) & COUNTER_MASK
        if unread > self._size:
            raise ProtocolError(f"the words of a ring of {self._size} bytes say that {unread} are unread")
        return self._size - unread if self._writes else unread

    def take(self) -> bytes:
        """All that can be read."""
        count = self.available
        if not count:
            return b""
        self._barrier()
        first, rest = self._pieces(count)
        data = self._memory[first] + self._memory[rest]
        self._advance(count)
        return data

    def put(self, data: Union[bytearray, memoryview]) -> int:
        """Copies as much of the data as there is room for, and tells how much."""
        count = min(self.available, len(data))
        if not count:
            return 0
        first, rest = self._pieces(count)
        length = first.stop - first.start
        self._memory[first], self._memory[rest] = data[:length], data[length:count]
        self._advance(count)
        return count

    def _pieces(self, count: int) -> tuple[slice, slice]:
        """Where the next bytes lie: up to the ring's end, and from its start on."""
        start = self._start + self._position % self._size
        first = min(count, self._start + self._size - start)
        return slice(start, start + first), slice(self._start, self._start + count - first)

    def _advance(self, count: int) -> None:
        """Tells the other side of bytes that have been copied, and only then whether it wants a bell."""
        self._position = (self._position + count) & COUNTER_MASK
        self._barrier()
        self._own.value = self._position
        self._barrier()

    def wish(self, wanted: bool) -> None:
        """Asks for a bell when more is available, or no longer; the ring is to be looked at once more."""
        self._wish.value = wanted
        if wanted:
            self._barrier()

    def is_wished(self) -> bool:
        """Whether the other side is to be rung now, once."""
        if not self._other_wish.value:
            return False
        self._other_wish.value = 0
        return True


class Lane:
    """The client's side of a lane: a ring to write, a ring to read, and the socket, which carries bells."""

    def __init__(self, connected: socket.socket, descriptor: int, layout: OpenLaneResponse) -> None:
        """Maps the memory; the descriptor stays the caller's."""
        requests, answers = check_layout(layout)
        self._memory = map_memory(descriptor, layout.memory_bytes)
        barrier = Barrier()
        self._requests = Ring(self._memory, requests, barrier, writes=True)
        self._answers = Ring(self._memory, answers, barrier, writes=False)
        self._socket = connected
        self._bells = select.poll()
        self._bells.register(connected, select.POLLIN)
        self._has_ended = False
        self._poll_seconds = POLL_SECONDS

    def close(self) -> None:
        """Unmaps the memory. The socket, whose end is the lane's, stays the caller's to close."""
        self._requests.close()
        self._answers.close()
        self._memory.close()

    def send(self, outgoing: Outgoing) -> None:
        """Moves what there is room for into the ring of requests."""
        while outgoing:
            first = outgoing.first
            length = len(first)
            count = self._requests.put(first)
            outgoing.sent(count)
            if self._requests.is_wished():
                self._ring()
            if count < length:
                return

    def receive(self) -> Optional[bytes]:
        """What has come; None when the server has closed and all that it wrote before has been read."""
        has_ended = self._has_ended
        received = self._answers.take()
        if received and self._answers.is_wished():
            self._ring()
        return None if has_ended and not received else received

    def wait(self, seconds: float, for_room: bool) -> bool:
        """Waits for an answer, for room on wish, or for the server's end, at most so long.

        Returns whether there is something to receive. The ring is polled first, for as long as that has
        helped: what comes late halves the time, and what comes early makes it whole again.
        """
        if seconds <= 0:
            self._take_bells(0)
            return self._is_due(False)
        start = time.monotonic()
        while not self._is_due(for_room):
            if time.monotonic() - start >= min(self._poll_seconds, seconds):
                self._sleep(seconds, for_room)
                break
        is_early = time.monotonic() - start < 2 * POLL_SECONDS
        self._poll_seconds = POLL_SECONDS if is_early else self._poll_seconds / 2
        return self._is_due(False)

    def _is_due(self, for_room: bool) -> bool:
        return self._has_ended or self._answers.available > 0 or (for_room and self._requests.available > 0)

    def _sleep(self, seconds: float, for_room: bool) -> None:
        """Sleeps until a bell, unless what it would tell of has come before the wish for it was seen."""
        self._answers.wish(True)
        self._requests.wish(for_room)
        if not self._is_due(for_room):
            self._take_bells(seconds)
        self._answers.wish(False)
        self._requests.wish(False)

    def _take_bells(self, seconds: float) -> None:
        """Waits for bells, or the server's end, and takes them off the socket."""
        if self._bells.poll(milliseconds(seconds)):
            try:
                self._has_ended = not self._socket.recv(BELL_BYTES)
            except BlockingIOError:
                pass
            except OSError:
                self._has_ended = True

    def _ring(self) -> None:
        try:
            self._socket.send(b"\0")
        except OSError:
            pass  # the socket is full of bells that the server will take, or at its end, which poll tells


def milliseconds(seconds: float) -> Optional[int]:
    """A time as poll takes it: None for ever."""
    return None if math.isinf(seconds) else math.ceil(min(seconds, 1e6) * 1000)


def check_layout(layout: OpenLaneResponse) -> tuple[LaneRing, LaneRing]:
    """The rings of requests and of answers, which lie in the memory."""
    if layout.layout != LAYOUT:
        raise ProtocolError(f"the server opened a lane of layout {layout.layout}, this client knows {LAYOUT}")
    requests, answers = layout.requests, layout.answers
    if requests is None or answers is None:
        raise ProtocolError("a lane came without one of its rings")
    for ring in (requests, answers):
        if ring.bytes == 0 or ring.bytes & (ring.bytes - 1):
            raise ProtocolError(f"a ring has {ring.bytes} bytes, which is no power of two")
        for offset, size in ((ring.control_offset, CONTROL_BYTES), (ring.data_offset, ring.bytes)):
            if offset % 64 or offset + size > layout.memory_bytes:
                raise ProtocolError(f"{size} bytes of a ring at {offset} do not lie in a memory of "
                                    f"{layout.memory_bytes} on a multiple of 64")
    return requests, answers


def map_memory(descriptor: int, byte_count: int) -> mmap.mmap:
    """The memory of a lane, which nobody can make smaller: no access to it can fail."""
    try:
        if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
            return mmap.mmap(descriptor, byte_count)
        why = "its size is not sealed"
    except (OSError, ValueError, OverflowError) as error:  # ValueError: there is less memory than that
        why = str(error)
    raise ProtocolError(f"the memory of a lane, of {byte_count} bytes, cannot be used: {why}")


def receive_descriptor(connected: socket.socket) -> tuple[bytes, Optional[int]]:
    """One byte, empty at the server's end, and the descriptor that came with it, which the caller closes."""
    size = ctypes.sizeof(ctypes.c_int)
    byte, ancillary, _, _ = connected.recvmsg(1, socket.CMSG_LEN(size), socket.MSG_CMSG_CLOEXEC)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS) and len(data) >= size:
            return byte, ctypes.c_int.from_buffer_copy(data).value
    return byte, None
