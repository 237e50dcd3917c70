"""Hello, the first frame of a connection, which carries the token of the one who calls."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Optional

from . import messages, wire
from .errors import ConnectError, ProtocolError
from .messages import Method
from .wire import KIND_ANSWER, KIND_REQUEST, Frame

CLIENT = "apus-python"


class Token:
    """A token as text, or the file that holds it, which is read for every connection. It is never shown."""

    def __init__(self, text: str = "", file: Optional[str] = None) -> None:
        if file is None and not is_token(text):
            raise ValueError("token= holds no token: that is not empty, and has no spaces or line ends")
        self._text, self._file = text, file
        self.hello()

    def __repr__(self) -> str:
        return "<token>"

    def hello(self) -> bytes:
        """The frame that tells the server the token."""
        text = self._text if self._file is None else read_token(self._file)
        request = messages.HelloRequest(wire.VERSION, wire.VERSION, CLIENT, text.encode())
        return wire.encode_frame(KIND_REQUEST, Method.HELLO, 0, wire.encode(request))


def is_token(text: str) -> bool:
    return text != "" and text.isprintable() and " " not in text


def read_token(file: str) -> str:
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConnectError(f"cannot read the token from {file}: {why}") from None
    if not is_token(text):
        raise ConnectError(f"{file} holds no token: write the token into it, and nothing else")
    return text


def is_welcome(frame: Frame) -> bool:
    """Whether the frame is the answer to Hello; raises ProtocolError where it chooses another version."""
    if (frame.kind, frame.method, frame.id, frame.flags) != (KIND_ANSWER, Method.HELLO, 0, 0):
        return False
    version = wire.decode(messages.HelloResponse, frame.metadata).version
    if version != wire.VERSION or frame.body:
        raise ProtocolError(f"the server answered Hello with version {version} of the protocol")
    return True


def is_loopback(host: str) -> bool:
    """Whether what is sent to the host stays on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
