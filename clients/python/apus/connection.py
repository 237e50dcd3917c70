"""One connection: frames go out and come in, with time limits, and neither side can block the other."""

from __future__ import annotations

import math
import select
import socket
import time
from typing import Optional, Union
from urllib.parse import urlsplit

from . import wire
from .errors import ConnectError, ConnectionLost, DeadlineExceeded
from .wire import Frame

RECEIVE_BYTES = 256 << 10
RECONNECT_PAUSE = 0.05

Address = Union[str, tuple[str, int]]


def parse_address(address: str) -> Address:
    """The path of unix:PATH, or the host and port of tcp://HOST:PORT."""
    if address.startswith("unix:") and len(address) > len("unix:"):
        return address[len("unix:") :]
    parts = urlsplit(address)
    try:
        if parts.scheme == "tcp" and parts.hostname and parts.port and not parts.path:
            return parts.hostname, parts.port
    except ValueError:  # the port is no number
        pass
    raise ValueError(f"{address!r} is no address: write unix:PATH or tcp://HOST:PORT")


def remaining(deadline: float) -> float:
    """Seconds until `deadline` on the monotonic clock; raises DeadlineExceeded when there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise DeadlineExceeded("the call's time ran out before its answer came")
    return seconds


def connect(address: Address, deadline: float) -> socket.socket:
    """A connected socket; a second attempt is made, a moment later, before ConnectError is raised."""
    for attempt in (1, 2):
        try:
            return connect_once(address, deadline)
        except socket.timeout:
            remaining(deadline)
            raise ConnectError(f"cannot connect to {address}: nobody answers") from None
        except OSError as error:
            if attempt == 2:
                raise ConnectError(f"cannot connect to {address}: {error}; is a server there?") from error
            time.sleep(min(RECONNECT_PAUSE, remaining(deadline)))
    raise AssertionError("unreachable")


def connect_once(address: Address, deadline: float) -> socket.socket:
    seconds = remaining(deadline)
    timeout = None if math.isinf(seconds) else seconds
    if not isinstance(address, str):
        connected = socket.create_connection(address, timeout)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(timeout)
        connected.connect(address)
    except BaseException:
        connected.close()
        raise
    return connected


class Connection:
    """A socket that does not block, the bytes that wait to be sent, and those of a frame not yet whole."""

    def __init__(self, address: Address, deadline: float) -> None:
        self._socket = connect(address, deadline)
        self._socket.setblocking(False)
        self._outgoing = bytearray()
        self._received = bytearray()

    def close(self) -> None:
        self._socket.close()

    @property
    def outgoing_bytes(self) -> int:
        return len(self._outgoing)

    def queue(self, frame: bytes) -> None:
        self._outgoing += frame

    def step(self, deadline: float) -> list[Frame]:
        """Sends what the socket takes, waits until bytes move either way, returns the whole frames read."""
        self._send()
        events = select.POLLIN | (select.POLLOUT if self._outgoing else 0)
        if not self._poll(events, remaining(deadline)) & ~select.POLLOUT:
            return []
        if not self._receive():
            raise ConnectionLost("the server closed the connection before it answered")
        return self._frames()

    def idle_frames(self) -> Optional[list[Frame]]:
        """What came while no call was running, without waiting; None when the server has closed."""
        if not self._poll(select.POLLIN, 0):
            return []
        return self._frames() if self._receive() else None

    def _poll(self, events: int, seconds: float) -> int:
        poll = select.poll()
        poll.register(self._socket, events)
        limit = None if math.isinf(seconds) else math.ceil(min(seconds, 1e6) * 1000)
        ready = poll.poll(limit)
        return ready[0][1] if ready else 0

    def _send(self) -> None:
        """Never raises: a server that refuses a frame closes, but its answer may still be there to read."""
        try:
            if self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing.clear()

    def _receive(self) -> bool:
        try:
            received = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return True
        except OSError as error:
            raise ConnectionLost(f"the connection broke before the answer came: {error}") from error
        self._received += received
        return bool(received)

    def _frames(self) -> list[Frame]:
        frames = []
        while self._received and (decoded := wire.decode_frame(self._received)):
            frame, size = decoded
            frames.append(frame)
            del self._received[:size]
        return frames
