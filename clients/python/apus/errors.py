"""What can go wrong, each as a type of its own."""

from __future__ import annotations

import enum


class Code(enum.IntEnum):
    """gRPC's canonical status codes."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class ApusError(Exception):
    """Base of every error of this package."""


class ConnectError(ApusError, ConnectionError):
    """No connection could be made; nothing was sent."""


class ConnectionLost(ApusError, ConnectionError):
    """The connection broke during a call, which the server may or may not have done."""


class ProtocolError(ApusError):
    """The server sent bytes that break the protocol; the connection has been closed."""


class StatusError(ApusError):
    """The server answered with an error.

    `code` has a name and a number (`error.code.name`, `int(error.code)`), `message` is for a person, `reason`
    for a program, and `retry_after` is in seconds, 0 where a retry is not worth it.
    """

    def __init__(self, code: Code, message: str, reason: str = "", retry_after: float = 0.0) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.reason = reason
        self.retry_after = retry_after


class DeadlineExceeded(StatusError, TimeoutError):
    """The time for the call ran out, here or in the server."""

    def __init__(self, message: str, reason: str = "", retry_after: float = 0.0) -> None:
        super().__init__(Code.DEADLINE_EXCEEDED, message, reason, retry_after)
