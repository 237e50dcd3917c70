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
    """No connection could be made; no call was done."""


class TLSError(ConnectError):
    """The TLS handshake failed."""


class CertificateError(TLSError):
    """The server's certificate is not trusted or not valid now, or a file of certificates cannot be used."""


class WrongName(CertificateError):
    """The server's certificate is for another name than the one the client asked for."""


class ClientCertificateError(TLSError):
    """The server wants a certificate from this client, or refused the one it got."""


class ConnectionLost(ApusError, ConnectionError):
    """The connection broke during a call, which the server may or may not have done."""


class ProtocolError(ApusError):
    """The server sent bytes that break the protocol; the connection has been closed."""


class StatusError(ApusError):
    """The server answered with an error.

    `code` has a name and a number (`error.code.name`, `int(error.code)`), `message` is for a person, `reason`
    for a program, and `retry_after` is in seconds, 0 where a retry is not worth it.
    """

    advice = ""

    def __init__(self, code: Code, message: str, reason: str = "", retry_after: float = 0.0) -> None:
        super().__init__(f"{code.name}: {message}{self.advice}")
        self.code = code
        self.message = message
        self.reason = reason
        self.retry_after = retry_after


class Unauthenticated(StatusError):
    """The server does not know who calls: it refused the token, or there was none."""

    advice = "; give the client a token or a certificate that is still valid and in the server's policy"


class PermissionDenied(StatusError):
    """The server knows who calls and does not allow this call."""

    advice = "; ask the server's operator to allow the model and the method in its policy"


class ResourceExhausted(StatusError):
    """Too many calls for the caller's rate or for the server; `retry_after` says when to call again."""

    def __init__(self, code: Code, message: str, reason: str = "", retry_after: float = 0.0) -> None:
        self.advice = f"; call again in {retry_after:g} s" if retry_after else "; make fewer calls at a time"
        super().__init__(code, message, reason, retry_after)


class DeadlineExceeded(StatusError, TimeoutError):
    """The time for the call ran out, here or in the server."""

    def __init__(self, message: str, reason: str = "", retry_after: float = 0.0) -> None:
        super().__init__(Code.DEADLINE_EXCEEDED, message, reason, retry_after)


TYPES = {
    Code.UNAUTHENTICATED: Unauthenticated,
    Code.PERMISSION_DENIED: PermissionDenied,
    Code.RESOURCE_EXHAUSTED: ResourceExhausted,
}


def status_error(code: int, message: str, reason: str, retry_after: float) -> StatusError:
    """The error of the type that a status code has; a code that is not canonical counts as UNKNOWN."""
    if code == Code.DEADLINE_EXCEEDED:
        return DeadlineExceeded(message, reason, retry_after)
    known = Code(code) if code in Code._value2member_map_ else Code.UNKNOWN
    return TYPES.get(known, StatusError)(known, message, reason, retry_after)
