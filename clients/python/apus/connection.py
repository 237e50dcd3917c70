"""One connection: frames go out and come in, with time limits, and neither side can block the other."""

from __future__ import annotations

import math
import os
import select
import socket
import ssl
import time
from typing import Any, NamedTuple, Optional, Union
from urllib.parse import urlsplit

from . import hello, messages, wire
from .errors import ConnectError, ConnectionLost, DeadlineExceeded, ProtocolError, StatusError
from .exchange import read_status
from .hello import Token
from .lane import Lane, milliseconds, receive_descriptor
from .messages import Method
from .region import Region
from .streams import Incoming, Outgoing, Piece
from .tls import TLS
from .wire import FLAG_MORE, FLAG_STATUS, KIND_GOAWAY, KIND_REQUEST, KIND_SKIP, Frame

RECEIVE_BYTES = 256 << 10
RECONNECT_PAUSE = 0.05
# The id of what the connection asks by itself: calls count from 1 and never come so far.
OWN_ID = 1 << 63
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
    """Reads unix:PATH, shm:PATH, tcp://HOST:PORT and tls://HOST:PORT."""
    for scheme in ("unix", "shm"):
        if address.startswith(f"{scheme}:") and len(address) > len(scheme) + 1:
            return Address(address, scheme, address[len(scheme) + 1 :])
    parts = urlsplit(address)
    try:
        if parts.scheme in ("tcp", "tls") and parts.hostname and parts.port:
            if not parts.path and not parts.query and not parts.fragment and "@" not in parts.netloc:
                return Address(address, parts.scheme, (parts.hostname, parts.port))
    except ValueError:  # the port is no number
        pass
    raise ValueError(f"{address!r} is no address: write unix:PATH, shm:PATH, tcp://HOST:PORT or "
                     "tls://HOST:PORT")


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

    Once `open_lane` has moved it into a lane, all frames go through shared memory. `regions` are the numbers
    of those that the server can look into.

    Over TLS, sending may have to wait for bytes to come, and receiving for bytes to go: each has the event
    that it waits for.
    """

    def __init__(self, address: Address, deadline: float, tls: Optional[TLS] = None,
                 token: Optional[Token] = None) -> None:
        self._outgoing = Outgoing()
        if token:
            self._outgoing.add(token.hello())
        self._welcome_due = token is not None
        self._incoming = Incoming()
        self._held: list[Frame] = []
        self._lane: Optional[Lane] = None
        self.regions: set[int] = set()
        self._send_event, self._receive_event = select.POLLOUT, select.POLLIN
        self._tls = tls
        self._socket = connect(address, deadline, tls)
        self._socket.setblocking(False)

    def close(self) -> None:
        if self._lane is not None:
            self._lane.close()
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

    def queue(self, *pieces: Piece) -> None:
        """Puts a frame behind the others; those of its pieces that are memoryviews are not copied."""
        for piece in pieces:
            self._outgoing.add(piece)

    def step(self, deadline: float) -> list[Frame]:
        """Sends what the socket takes, waits until bytes move either way, returns the whole frames read."""
        self._move(deadline)
        return self._frames()

    def idle_frames(self) -> Optional[list[Frame]]:
        """What came while no call was running, without waiting; None when the server has closed."""
        while self._poll(self._receive_event, 0):
            if not self._receive():
                return None
            if frames := self._frames():
                return frames
        return self._frames()

    def _move(self, deadline: float) -> None:
        """Sends what the socket takes, waits until bytes move either way, and reads those that came."""
        if self._wait(deadline) and not self._receive():
            raise ConnectionLost("the server closed the connection before it answered")

    def _wait(self, deadline: float) -> bool:
        """Sends what the socket takes and waits until bytes move either way; whether some can be read."""
        self._send()
        events = self._receive_event | (self._send_event if self._outgoing else 0)
        ready = self._poll(events, remaining(deadline))
        return bool(ready) and not ready == self._send_event != self._receive_event

    def _poll(self, events: int, seconds: float) -> int:
        """The events that came in time; bytes that TLS has decrypted are one, which poll cannot see."""
        if self._lane is not None:
            return select.POLLIN if self._lane.wait(seconds, bool(events & select.POLLOUT)) else 0
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return self._receive_event
        poll = select.poll()
        poll.register(self._socket, events)
        ready = poll.poll(milliseconds(seconds))
        return ready[0][1] if ready else 0

    def _send(self) -> None:
        """Ignores an end: a server that refuses a frame closes, but its answer may still be there to read."""
        if self._lane is not None:
            self._lane.send(self._outgoing)
            return
        try:
            while self._outgoing:
                self._send_event = select.POLLOUT
                self._outgoing.sent(self._socket.send(self._outgoing.first))
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        except ssl.SSLWantReadError:
            self._send_event = select.POLLIN
        except OSError:
            self._outgoing.clear()

    def _receive(self) -> bool:
        """Reads what is there; False when the server has closed."""
        if self._lane is not None:
            from_lane = self._lane.receive()
            self._incoming.add(from_lane or b"")
            return from_lane is not None
        self._receive_event = select.POLLIN
        try:
            count = self._receive_some()
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
        return count > 0

    def _receive_some(self) -> int:
        """Receives a large frame where it stays, and others piece by piece."""
        space = self._incoming.space
        if space is not None:
            count = self._socket.recv_into(space)
            self._incoming.received(count)
            return count
        received = self._socket.recv(RECEIVE_BYTES)
        self._incoming.add(received)
        return len(received)

    def _frames(self) -> list[Frame]:
        """The whole frames among what was received, and those that were held."""
        frames, self._held = self._held, []
        while frame := self._next_frame():
            frames.append(frame)
        return frames

    def _next_frame(self) -> Optional[Frame]:
        """The first whole frame among what was received, but for the answer to this side's own Hello."""
        while frame := self._incoming.next_frame(self._lane is not None):
            if self._welcome_due and hello.is_welcome(frame):
                self._welcome_due = False
            elif frame.kind != KIND_SKIP:
                return frame
        return None

    # What the connection asks by itself, before any call or between two.

    def open_lane(self, deadline: float) -> Optional[StatusError]:
        """Moves the connection into a lane; the error is why the server opens none.

        Hello has its answer first: a lane is asked for with nothing in flight.
        """
        while self._welcome_due:
            if self._own_frame(deadline) is not None:
                raise ProtocolError("the server sent an answer before that to Hello")
        self._ask(Method.OPEN_LANE, messages.OpenLaneRequest())
        while not self._wait(deadline):
            pass
        try:
            first_byte, descriptor = receive_descriptor(self._socket)
        except OSError as error:
            raise ConnectionLost(f"the connection broke before it was a lane: {error}") from error
        try:
            self._incoming.add(first_byte)
            answer = self._own_answer(Method.OPEN_LANE, 0, deadline)
            if answer.flags:
                return self._refusal(answer)
            if descriptor is None:
                raise ProtocolError("a lane came without its memory")
            layout = wire.decode(messages.OpenLaneResponse, answer.metadata)
            self._lane = Lane(self._socket, descriptor, layout)
        finally:
            if descriptor is not None:
                os.close(descriptor)
        self._incoming.clear()  # what came behind the answer are bells
        return None

    def register(self, region: Region, deadline: float) -> Optional[StatusError]:
        """Lets the server look into a region, if this is a lane; the error is why it does not want to.

        Its descriptor goes when the server says that it waits for it.
        """
        if self._lane is None or region.number in self.regions:
            return None
        self._ask(Method.REGISTER_REGION, messages.RegisterRegionRequest(region.number, region.byte_count))
        answer = self._own_answer(Method.REGISTER_REGION, FLAG_MORE, deadline)
        if answer.flags == FLAG_MORE:
            self._pass(region.descriptor, deadline)
            answer = self._own_answer(Method.REGISTER_REGION, 0, deadline)
        if answer.flags:
            return self._refusal(answer)
        self.regions.add(region.number)
        return None

    def unregister(self, number: int, deadline: float) -> None:
        """Ends the server's look into a region."""
        self.regions.discard(number)
        self._ask(Method.UNREGISTER_REGION, messages.UnregisterRegionRequest(number))
        answer = self._own_answer(Method.UNREGISTER_REGION, 0, deadline)
        if answer.flags:
            raise read_status(answer)

    def _refusal(self, answer: Frame) -> Optional[StatusError]:
        """What a Status says; None after a goaway: all is refused, and calls go over another connection."""
        return None if self._held else read_status(answer)

    def _ask(self, method: Method, request: Any) -> None:
        self.queue(wire.encode_frame(KIND_REQUEST, method, OWN_ID, wire.encode(request)))

    def _own_answer(self, method: Method, flags: int, deadline: float) -> Frame:
        """The next answer to what the connection asked, with these flags or a Status."""
        while (frame := self._own_frame(deadline)) is None:
            pass
        if (frame.id, frame.method) != (OWN_ID, method) or frame.body:
            raise ProtocolError(f"the server did not answer {method.name}, but another call")
        if frame.flags not in (flags, FLAG_STATUS):
            raise ProtocolError(f"an answer to {method.name} has flags {frame.flags:#x}")
        return frame

    def _own_frame(self, deadline: float) -> Optional[Frame]:
        """An answer while no call is in flight, if one came; a goaway is held for the calls to come."""
        frame = self._next_frame()
        if frame is None:
            self._move(deadline)
            frame = self._next_frame()
        if frame is not None and frame.kind == KIND_GOAWAY:
            self._held.append(frame)
            return None
        if frame is not None and frame.id == 0 and frame.flags == FLAG_STATUS:
            raise read_status(frame)
        return frame

    def _pass(self, descriptor: int, deadline: float) -> None:
        """Sends a descriptor over the socket."""
        self._socket.settimeout(time_out(deadline))
        try:
            socket.send_fds(self._socket, [b"\0"], [descriptor])
        except socket.timeout:
            remaining(deadline)
            raise
        except OSError as error:
            raise ConnectionLost(f"the connection broke before the region was registered: {error}") from error
        finally:
            self._socket.setblocking(False)
