"""One connection: frames go out and come in, with time limits, and neither side can block the other."""

from __future__ import annotations

import math
import select
import socket
import ssl
import time
from typing import NamedTuple, Optional, Union
from urllib.parse import urlsplit

from . import hello, wire
from .errors import ConnectError, ConnectionLost, DeadlineExceeded
from .hello import Token
from .tls import TLS
from .wire import Frame

RECEIVE_BYTES = 256 << 10
RECONNECT_PAUSE = 0.05
# How a handshake ends whose connection the server closed.
CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


class Address(NamedTuple):
    """Where a server listens: `place` is a path, or a host and a port."""

    text: str
    scheme: str
    place: Union[str, tuple[str, int]]

    def __str__(self) -> str:
        return self.text


def parse_address(address: str) -> Address:
    """Reads unix:PATH, tcp://HOST:PORT and tls://HOST:PORT."""
    if address.startswith("unix:") and len(address) > len("unix:"):
        return Address(address, "unix", address[len("unix:") :])
    parts = urlsplit(address)
    try:
        if parts.scheme in ("tcp", "tls") and parts.hostname and parts.port:
            if not parts.path and not parts.query and not parts.fragment and "@" not in parts.netloc:
                return Address(address, parts.scheme, (parts.hostname, parts.port))
    except ValueError:  # the port is no number
        pass
    raise ValueError(f"{address!r} is no address: write unix:PATH, tcp://HOST:PORT or tls://HOST:PORT")


def remaining(deadline: float) -> float:
    """Seconds until `deadline` on the monotonic clock; raises DeadlineExceeded when there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise DeadlineExceeded("the call's time ran out before its answer came")
    return seconds


def connect(address: Address, deadline: float, tls: Optional[TLS]) -> socket.socket:
    """A connected socket; a second attempt is made, a moment later, before ConnectError is raised."""
    for attempt in (1, 2):
        try:
            return connect_once(address, deadline, tls)
        except socket.timeout:
            remaining(deadline)
            raise ConnectError(f"cannot connect to {address}: nobody answers") from None
        except OSError as error:
            if tls and isinstance(error, ssl.SSLError) and not isinstance(error, CUT):
                raise tls.explain(error, str(address)) from error
            if attempt == 2:
                why = f"{error}; is a server there?"
                if isinstance(error, CUT):
                    why = "it closed the connection in the TLS handshake; is it a tls:// address?"
                raise ConnectError(f"cannot connect to {address}: {why}") from error
            time.sleep(min(RECONNECT_PAUSE, remaining(deadline)))
    raise AssertionError("unreachable")


def connect_once(address: Address, deadline: float, tls: Optional[TLS]) -> socket.socket:
    if isinstance(address.place, str):
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    else:
        connected = socket.create_connection(address.place, time_out(deadline))
    try:
        connected.settimeout(time_out(deadline))
        if isinstance(address.place, str):
            connected.connect(address.place)
            return connected
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return tls.wrap(connected) if tls else connected
    except BaseException:
        connected.close()
        raise


def time_out(deadline: float) -> Optional[float]:
    """The time left as sockets take it: None for ever."""
    seconds = remaining(deadline)
    return None if math.isinf(seconds) else seconds


class Connection:
    """A socket that does not block, the bytes that wait to be sent, and those of a frame not yet whole.

    Over TLS, sending may have to wait for bytes to come, and receiving for bytes to go: each has the event
    that it waits for.
    """

    def __init__(self, address: Address, deadline: float, tls: Optional[TLS] = None,
                 token: Optional[Token] = None) -> None:
        self._outgoing = bytearray(token.hello() if token else b"")
        self._welcome_due = token is not None
        self._received = bytearray()
        self._send_event, self._receive_event = select.POLLOUT, select.POLLIN
        self._tls = tls
        self._socket = connect(address, deadline, tls)
        self._socket.setblocking(False)

    def close(self) -> None:
        if self._tls and isinstance(self._socket, ssl.SSLSocket):
            self._tls.keep_session(self._socket)
            try:
                self._socket.unwrap()  # says goodbye, and does not wait for the server's
            except (OSError, ValueError):
                pass
        self._socket.close()

    @property
    def outgoing_bytes(self) -> int:
        return len(self._outgoing)

    def queue(self, frame: bytes) -> None:
        self._outgoing += frame

    def step(self, deadline: float) -> list[Frame]:
        """Sends what the socket takes, waits until bytes move either way, returns the whole frames read."""
        self._send()
        events = self._receive_event | (self._send_event if self._outgoing else 0)
        ready = self._poll(events, remaining(deadline))
        if not ready or ready == self._send_event != self._receive_event:
            return []
        if not self._receive():
            raise ConnectionLost("the server closed the connection before it answered")
        return self._frames()

    def idle_frames(self) -> Optional[list[Frame]]:
        """What came while no call was running, without waiting; None when the server has closed."""
        while self._poll(self._receive_event, 0):
            if not self._receive():
                return None
            if frames := self._frames():
                return frames
        return []

    def _poll(self, events: int, seconds: float) -> int:
        """The events that came in time; bytes that TLS has decrypted are one, which poll cannot see."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return self._receive_event
        poll = select.poll()
        poll.register(self._socket, events)
        limit = None if math.isinf(seconds) else math.ceil(min(seconds, 1e6) * 1000)
        ready = poll.poll(limit)
        return ready[0][1] if ready else 0

    def _send(self) -> None:
        """Never raises: a server that refuses a frame closes, but its answer may still be there to read."""
        try:
            while self._outgoing:
                self._send_event = select.POLLOUT
                del self._outgoing[: self._socket.send(self._outgoing)]
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        except ssl.SSLWantReadError:
            self._send_event = select.POLLIN
        except OSError:
            self._outgoing.clear()

    def _receive(self) -> bool:
        """Reads what is there; False when the server has closed."""
        self._receive_event = select.POLLIN
        try:
            received = self._socket.recv(RECEIVE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except ssl.SSLWantWriteError:
            self._receive_event = select.POLLOUT
            return True
        except OSError as error:
            refusal = self._tls.refusal(error) if self._tls and isinstance(error, ssl.SSLError) else None
            if refusal:
                raise refusal from error
            raise ConnectionLost(f"the connection broke before the answer came: {error}") from error
        self._received += received
        return bool(received)

    def _frames(self) -> list[Frame]:
        """The whole frames among what was received, but for the answer to this side's own Hello."""
        frames = []
        while self._received and (decoded := wire.decode_frame(self._received)):
            frame, size = decoded
            del self._received[:size]
            if self._welcome_due and hello.is_welcome(frame):
                self._welcome_due = False
            else:
                frames.append(frame)
        return frames
