"""A server that a test scripts: what it says comes from literal bytes, not from the client's own encoder."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator

HEADER = "<4sBBHQIIQ"
HELLO = 0
CLASSIFY, HEALTH, STATS, LIST_MODELS, GET_MODEL = 0x101, 0x102, 0x103, 0x104, 0x105


def frame(kind: int, method: int, id: int, metadata: bytes = b"", body: bytes = b"", flags: int = 0) -> bytes:
    """A frame by the rules of the protocol: header, metadata, zeros to 64, body, zeros to 64."""
    head = struct.pack(HEADER, b"APUS", 1, kind, method, id, len(metadata), flags, len(body)) + metadata
    head += b"\0" * (-len(head) % 64)
    return head + body + b"\0" * (-len(body) % 64)


def answer(method: int, id: int, metadata: bytes = b"", body: bytes = b"", flags: int = 0) -> bytes:
    return frame(2, method, id, metadata, body, flags)


def goaway() -> bytes:
    return frame(4, 0, 0, b"\x0a\x07restart")


def status(method: int, id: int, code: int, reason: bytes = b"", retry_after_ns: bytes = b"") -> bytes:
    """An error: field 1 code, 2 message "no", 3 reason, 4 the varint that the test gives."""
    metadata = bytes([8, code]) + b"\x12\x02no"
    if reason:
        metadata += b"\x1a" + bytes([len(reason)]) + reason
    if retry_after_ns:
        metadata += b"\x20" + retry_after_ns
    return answer(method, id, metadata, flags=2)


def welcome() -> bytes:
    """The answer to Hello: version 1, "apus/1.0" and the limits of 64 KiB, 64 MiB and 256 calls."""
    return answer(HELLO, 0, bytes.fromhex("0801 1208 617075732f312e30 18808004 2080808020 288002"))


def one_class(id: int, probability: float, version: int = 1, deprecated: bytes = b"") -> bytes:
    """The answer to a Classify of one row with top 1: class 0 with the given probability."""
    metadata = bytes.fromhex("0801 1001 1a08 0801 12020101 2004 220a 0808 12020101 1840 2004 38")
    metadata += bytes([version])
    if deprecated:
        metadata += b"\x5a" + bytes([len(deprecated)]) + deprecated
    return answer(CLASSIFY, id, metadata, struct.pack("<f60xI", probability, 0))


class Peer:
    """The server's end of one connection."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected

    def secure(self, context: ssl.SSLContext) -> None:
        """The server's side of a TLS handshake; what follows is encrypted."""
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def exactly(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            part = self.socket.recv(size - len(received))
            if not part:
                raise EOFError(f"the client closed after {len(received)} of {size} bytes")
            received += part
        return received

    def request(self, expected_flags: int = 0) -> tuple[int, int, bytes, bytes]:
        """Method, id, metadata and body of the next request."""
        head = self.exactly(32)
        magic, version, kind, method, id, metadata_length, flags, body_length = struct.unpack(HEADER, head)
        assert (magic, version, kind, flags) == (b"APUS", 1, 1, expected_flags)
        metadata = self.exactly(metadata_length)
        assert not any(self.exactly(-(32 + metadata_length) % 64))
        body = self.exactly(body_length)
        assert not any(self.exactly(-body_length % 64))
        return method, id, metadata, body

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def hang_up(self) -> None:
        """Closes the sending side, and discards what comes until the client closes, as servers do."""
        self.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while self.socket.recv(1 << 16):
                pass

    def ended(self) -> bool:
        """Waits for the client to close."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


class Server:
    def __init__(self, address: str) -> None:
        self.address = address
        self.connections = 0


@contextlib.contextmanager
def listening(scheme: str) -> Iterator[tuple[socket.socket, str]]:
    """A socket that listens, and its address."""
    folder = tempfile.mkdtemp()
    if scheme == "unix":
        listener, address = socket.socket(socket.AF_UNIX), "unix:" + os.path.join(folder, "s")
        listener.bind(os.path.join(folder, "s"))
        listener.listen()
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
    listener.settimeout(10)
    try:
        with listener:
            yield listener, address
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def serving(*scripts: Callable[[Peer], None], scheme: str = "unix") -> Iterator[Server]:
    """A server whose first connection runs the first script, and so on; the socket then closes.

    A failure in a script fails the test, and so does a script whose connection never came. Over tls:// a
    script begins with `Peer.secure`.
    """
    failures = []

    def run() -> None:
        try:
            for script in scripts:
                connected, _ = listener.accept()
                server.connections += 1
                connected.settimeout(10)
                if scheme != "unix":
                    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer = Peer(connected)
                try:
                    script(peer)
                finally:
                    peer.socket.close()
        except BaseException as failure:
            failures.append(failure)

    with listening(scheme) as (listener, address):
        server = Server(address)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield server
        thread.join(20)
        assert not thread.is_alive(), "the server's script did not end"
        if failures:
            raise failures[0]


@contextlib.contextmanager
def byte_by_byte(server: Server) -> Iterator[str]:
    """The address of a relay that passes one connection on, the server's bytes one to a packet."""
    host, port = server.address.removeprefix("tls://").split(":")

    def forward(source: socket.socket, target: socket.socket, size: int) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(size):
                target.sendall(part)
            target.shutdown(socket.SHUT_WR)

    def run() -> None:
        client, _ = listener.accept()
        with client, socket.create_connection((host, int(port))) as behind:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            up = threading.Thread(target=forward, args=(client, behind, 1 << 16), daemon=True)
            up.start()
            forward(behind, client, 1)
            up.join(10)

    with listening("tls") as (listener, address):
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield address
        thread.join(10)
        assert not thread.is_alive(), "the relay did not end"
