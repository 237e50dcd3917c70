"""The server's end of a lane that a test scripts: words and bytes by the rules of docs/protocol.md."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import socket
import struct
import time
from collections.abc import Callable

import numpy as np

import apus
from fake import CLASSIFY, HEALTH, Peer, answer

OPEN_LANE, REGISTER_REGION, UNREGISTER_REGION = 1, 2, 3
REQUESTS, ANSWERS = 1024, 2048  # where the words of each ring lie
WRITTEN, READ, READER_SLEEPS, WRITER_WAITS = 0, 128, 256, 384
SECONDS = 10


def varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80]) + varint(value >> 7) if value > 0x7F else bytes([value])


def ring_message(control: int, data: int, size: int) -> bytes:
    return b"\x08" + varint(control) + b"\x10" + varint(data) + b"\x18" + varint(size)


def lane_message(memory: int, requests: bytes, answers: bytes, layout: int = 1) -> bytes:
    """An OpenLaneResponse."""
    message = b"\x08" + varint(layout) + b"\x10" + varint(memory)
    return message + b"\x1a" + varint(len(requests)) + requests + b"\x22" + varint(len(answers)) + answers


def sealed(size: int, seals: int = fcntl.F_SEAL_SHRINK) -> int:
    descriptor = os.memfd_create("lane", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def asked_for_lane(peer: Peer) -> int:
    """Reads OpenLane, and gives its id."""
    method, id, metadata, body = peer.request()
    assert (method, metadata, body) == (OPEN_LANE, b"", b"") and id != 0
    return id


class LanePeer(Peer):
    """A peer that speaks through a lane, which it opens when it is asked for one.

    `sleeps` makes it wait on the socket for every byte, so that each bell that is missing ends the test.
    """

    def __init__(self, peer: Peer, size: int = 4096, sleeps: bool = False) -> None:
        super().__init__(peer.socket)
        id = asked_for_lane(peer)
        self.size, self.sleeps, self.bells = size, sleeps, 0
        descriptor = sealed(4096 + 2 * size)
        self.memory = mmap.mmap(descriptor, 4096 + 2 * size)
        message = lane_message(4096 + 2 * size, ring_message(REQUESTS, 4096, size),
                               ring_message(ANSWERS, 4096 + size, size))
        socket.send_fds(self.socket, [answer(OPEN_LANE, id, message)], [descriptor])
        os.close(descriptor)

    def word(self, control: int, offset: int) -> int:
        return struct.unpack_from("Q" if offset < 256 else "I", self.memory, control + offset)[0]

    def store(self, control: int, offset: int, value: int) -> None:
        struct.pack_into("Q" if offset < 256 else "I", self.memory, control + offset, value)

    def ring(self) -> None:
        """Sends a bell; the client may have seen what it tells of, and closed."""
        self.bells += 1
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.send(b"!")

    def ring_if_wished(self, control: int, wish: int) -> None:
        if self.word(control, wish):
            self.store(control, wish, 0)
            self.ring()

    def until(self, control: int, wish: int, condition: Callable[[], bool]) -> None:
        """Waits, on the socket or by looking."""
        limit = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < limit, "nothing came through the lane"
            if not self.sleeps:
                time.sleep(1e-4)
                continue
            self.store(control, wish, 1)
            if not condition() and not self.socket.recv(1):
                raise EOFError("the client closed")
            self.store(control, wish, 0)

    def exactly(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            read = self.word(REQUESTS, READ)
            self.until(REQUESTS, READER_SLEEPS, lambda: self.word(REQUESTS, WRITTEN) != read)
            count = min(self.word(REQUESTS, WRITTEN) - read, size - len(received))
            place = read % self.size
            count = min(count, self.size - place)
            received += self.memory[4096 + place : 4096 + place + count]
            self.store(REQUESTS, READ, read + count)
            self.ring_if_wished(REQUESTS, WRITER_WAITS)
        return received

    def put(self, data: bytes) -> bytes:
        """Writes what there is room for, and gives the rest."""
        written = self.word(ANSWERS, WRITTEN)
        place = written % self.size
        count = min(len(data), self.size - (written - self.word(ANSWERS, READ)), self.size - place)
        start = 4096 + self.size + place
        self.memory[start : start + count] = data[:count]
        self.store(ANSWERS, WRITTEN, written + count)
        return data[count:]

    def send(self, data: bytes) -> None:
        while data:
            self.until(ANSWERS, WRITER_WAITS,
                       lambda: self.word(ANSWERS, WRITTEN) - self.word(ANSWERS, READ) < self.size)
            data = self.put(data)
            self.ring_if_wished(ANSWERS, READER_SLEEPS)

    def until_client_sleeps(self) -> None:
        limit = time.monotonic() + SECONDS
        while not self.word(ANSWERS, READER_SLEEPS):
            assert time.monotonic() < limit, "the client does not sleep"
            time.sleep(1e-3)

    def descriptor(self) -> int:
        """Waits for a byte with a descriptor; bells that come before it are passed over."""
        while True:
            byte, descriptors, _, _ = socket.recv_fds(self.socket, 1, 1)
            assert byte, "the client closed"
            if descriptors:
                return descriptors[0]

    def registered(self) -> tuple[int, mmap.mmap]:
        """Registers a region, as the protocol wants it: its number, and its memory."""
        method, id, metadata, body = self.request()
        assert (method, body, metadata[0]) == (REGISTER_REGION, b"", 8)
        self.send(answer(REGISTER_REGION, id, flags=4))
        descriptor = self.descriptor()
        size = os.fstat(descriptor).st_size
        assert metadata[2:] == b"\x10" + varint(size)
        assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
        memory = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
        os.close(descriptor)
        self.send(answer(REGISTER_REGION, id))
        return metadata[1], memory

    def ended(self) -> bool:
        try:
            while self.socket.recv(64):
                pass
            return True
        except ConnectionResetError:
            return True


# What both test files do in a lane.

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
