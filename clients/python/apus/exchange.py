"""Calls in flight on a connection, without any input or output: what to send next, who gets an answer."""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Container
from typing import Any, Optional, Union

from . import messages, wire
from .errors import ProtocolError, StatusError, status_error
from .messages import Method
from .region import Place, Region
from .wire import FLAG_MORE, FLAG_REGION, FLAG_STATUS, KIND_ANSWER, KIND_GOAWAY, KIND_REQUEST, Frame

# The frames of one long answer may hold so much together.
MAX_ANSWER_BYTES = 16 << 20
# The time left is told in so many steps of the whole.
TIMEOUT_STEPS = 64


class Call:
    """One request on its way to an answer: `metadata` and `body`, or `error`.

    Where the body lies in a region, `place`, and the server can look into that, only the place is sent.
    """

    def __init__(self, method: Method, request: Any, body: Any = b"", place: Optional[Place] = None) -> None:
        self.method, self.request, self.request_body, self.place = method, request, body, place
        self.not_before = 0.0
        self.retried = False
        # Each frame stands for itself, and an error may end them.
        self.steps = method in (Method.COMMIT_PUBLISH, Method.LOAD)
        self.metadata = bytearray()
        self.body: Union[bytes, memoryview] = b""
        self.error: Optional[StatusError] = None

    def frame(self, id: int, timeout_ns: int, regions: Container[int] = ()) -> list[Any]:
        """The request's frame in pieces, made when it is sent, so that the server learns how much time is left.

        `regions` are the numbers of those that the server can look into.
        """
        flags, body = 0, self.request_body
        if isinstance(self.request, messages.ClassifyRequest):
            self.request.timeout_ns = timeout_ns
        if self.place is not None:
            in_region = self.place.region.number in regions
            part = self.request.inputs[0]
            part.region, part.offset = (self.place.region.number, self.place.offset) if in_region else (0, 0)
            flags, body = (FLAG_REGION, b"") if in_region else (0, self.request_body)
        return wire.encode_pieces(KIND_REQUEST, self.method, id, wire.encode(self.request), body, flags)


class Exchange:
    """Calls that wait and calls that fly. After a call has failed, the waiting ones are given up."""

    def __init__(self, calls: list[Call], timeout: float, window: int, ids: itertools.count[int]) -> None:
        self.deadline = time.monotonic() + timeout
        self.flying: dict[int, Call] = {}
        self.goaway = False
        self.regions: list[Region] = list(dict.fromkeys(call.place.region for call in calls if call.place))
        self._waiting = deque(calls)
        self._timeout, self._window, self._ids = timeout, window, ids
        self._failed = False

    @property
    def done(self) -> bool:
        return not self._waiting and not self.flying

    @property
    def pause(self) -> float:
        """Seconds until the next waiting call may be sent."""
        return max(0.0, self._waiting[0].not_before - time.monotonic()) if self._waiting else 0.0

    def next_frame(self, regions: Container[int] = ()) -> Optional[list[Any]]:
        """The next call's frame in pieces, if one may be sent on this connection now; `regions` as Call.frame."""
        if self.goaway or not self._waiting or len(self.flying) >= self._window or self.pause > 0:
            return None
        call, id = self._waiting.popleft(), next(self._ids)
        self.flying[id] = call
        return call.frame(id, self._timeout_ns(), regions)

    def _timeout_ns(self) -> int:
        """The time left, 0 for no limit.

        It is rounded up to a step, so that the metadata of equal calls is the same byte for byte: a server
        decodes that once, and computes such calls together.
        """
        if math.isinf(self._timeout):
            return 0
        step_ns = self._timeout * 1e9 / TIMEOUT_STEPS
        steps = math.ceil((self.deadline - time.monotonic()) * 1e9 / step_ns)
        return max(1, int(step_ns * min(steps, TIMEOUT_STEPS)))

    def take(self, frame: Frame) -> None:
        """Gives a received frame to its call."""
        if frame.kind == KIND_GOAWAY:
            check_goaway(frame)
            self.goaway = True
            return
        if frame.id == 0 and frame.flags == FLAG_STATUS:
            if not self.done:
                raise read_status(frame)
            self.goaway = True  # every call has its answer: a later one gets a connection of its own
            return
        call = self.flying.get(frame.id)
        if call is None or frame.method != call.method:
            raise ProtocolError(f"an answer to call {frame.id} by {frame.method:#06x} was not asked for")
        if frame.flags & FLAG_STATUS:
            if frame.flags & FLAG_MORE or (call.metadata and not call.steps):
                raise ProtocolError("an error is not the only frame of its answer")
            del self.flying[frame.id]
            self._fail_or_retry(call, read_status(frame))
            return
        if call.steps:
            call.metadata.clear()
        call.metadata += frame.metadata
        if len(call.metadata) > MAX_ANSWER_BYTES:
            raise ProtocolError(f"an answer is longer than {MAX_ANSWER_BYTES} bytes")
        if not frame.flags & FLAG_MORE:
            call.body = frame.body
            del self.flying[frame.id]
        elif frame.body:
            raise ProtocolError("an answer in several frames has a body")

    def refuse(self, error: StatusError) -> None:
        """Gives up the waiting calls, of which none can be sent."""
        self._waiting[0].error = error
        self._waiting.clear()

    def _fail_or_retry(self, call: Call, error: StatusError) -> None:
        call.not_before = time.monotonic() + error.retry_after
        again = error.reason == "NOT_PROCESSED" and not call.retried and call.not_before < self.deadline
        if again and not self._failed:
            call.retried = True
            self._waiting.append(call)
        else:
            call.error = error
            self._failed = True
            self._waiting.clear()


def check_goaway(frame: Frame) -> None:
    if frame.id != 0 or frame.flags or frame.body:
        raise ProtocolError("a goaway frame has an id, flags or a body")
    wire.decode(messages.GoAway, frame.metadata)


def read_status(frame: Frame) -> StatusError:
    """The error that a frame with a Status holds."""
    status = wire.decode(messages.Status, frame.metadata)
    if status.code == 0:
        raise ProtocolError("the server sent an error whose code is OK")
    return status_error(status.code, status.message, status.reason, status.retry_after_ns / 1e9)
