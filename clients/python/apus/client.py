"""The client: calls become frames, answers become values, and a broken connection is replaced."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Callable, Optional, TypeVar

from . import messages, tensors, wire
from .connection import Connection, parse_address, remaining
from .errors import Code, ConnectionLost, DeadlineExceeded, ProtocolError, StatusError
from .messages import Method
from .tensors import Classification
from .wire import FLAG_MORE, FLAG_STATUS, KIND_ANSWER, KIND_GOAWAY, KIND_REQUEST, Frame

# The frames of one long answer may hold so much together.
MAX_ANSWER_BYTES = 16 << 20
# No further call is encoded while so many bytes wait to be sent.
OUTGOING_BYTES = 1 << 20

Answer = TypeVar("Answer")


class Call:
    """One request on its way to an answer: `metadata` and `body`, or `error`."""

    def __init__(self, method: Method, request: Any, body: bytes = b"") -> None:
        self.method, self.request, self.request_body = method, request, body
        self.not_before = 0.0
        self.retried = False
        self.metadata, self.body = bytearray(), b""
        self.error: Optional[StatusError] = None

    def frame(self, id: int, deadline: float) -> bytes:
        if isinstance(self.request, messages.ClassifyRequest) and not math.isinf(deadline):
            self.request.timeout_ns = max(1, int(remaining(deadline) * 1e9))
        return wire.encode_frame(KIND_REQUEST, self.method, id, wire.encode(self.request), self.request_body)

    def result(self) -> tuple[bytes, bytes]:
        if self.error is not None:
            raise self.error
        return bytes(self.metadata), self.body


class Client:
    """Calls a server at `unix:PATH` or `tcp://HOST:PORT`.

    The first call connects, and so does the first one after the connection was lost. `timeout` is the time in
    seconds for a whole call, connecting and retrying included; None sets no limit, and every method takes its
    own. Threads may share a client: their calls take turns.

    Every call may raise StatusError (the server's answer is an error), DeadlineExceeded, ConnectError,
    ConnectionLost and ProtocolError. A call is made a second time only where the server says that it did not
    process the first.
    """

    def __init__(self, address: str, timeout: Optional[float] = 10.0) -> None:
        self._address = parse_address(address)
        self._timeout = math.inf if timeout is None else timeout
        self._connection: Optional[Connection] = None
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; a later call opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def classify(self, model: str, array: Any, top: int = 0, version: Optional[int] = None,
                 alias: Optional[str] = None, scores: bool = False, labels: bool = True,
                 timeout: Optional[float] = None) -> Classification:
        """Classifies one input, an array of one dimension, or a batch, whose first dimension is the rows.

        `top` keeps the most probable classes; 0 gives every class in the order of its index. `version` or
        `alias` choose a version of the model, `scores` asks for the raw outputs, `labels` for the names.
        """
        options = {"version": version, "alias": alias, "scores": scores, "labels": labels, "timeout": timeout}
        return self.classify_many(model, [array], top, **options)[0]

    def classify_many(self, model: str, arrays: Iterable[Any], top: int = 0, version: Optional[int] = None,
                      alias: Optional[str] = None, scores: bool = False, labels: bool = True,
                      timeout: Optional[float] = None, window: int = 64) -> list[Classification]:
        """Makes a call for each array, up to `window` of them at the same time, and gives the answers in order.

        `timeout` is for all of them together. The first call that fails raises, and no further ones are sent.
        """
        if version and alias:
            raise ValueError("give a version or an alias, not both")
        calls, read = [], []
        for array in arrays:
            values, single = tensors.as_input(array)
            request = messages.ClassifyRequest(
                model=model, version=version or 0, alias=alias or "", inputs=[tensors.part_of(values)],
                top_k=top, want_scores=scores, want_labels=labels)
            calls.append(Call(Method.CLASSIFY, request, values.tobytes()))
            read.append((len(values), single, top, labels, scores))
        return self._run(calls, timeout, window, lambda: [
            tensors.read_classification(*call.result(), *asked) for call, asked in zip(calls, read)])

    def health(self, model: str = "", timeout: Optional[float] = None) -> messages.HealthResponse:
        """Whether the server, or one model of it, answers calls."""
        request = messages.HealthRequest(model)
        return self._unary(Method.HEALTH, request, messages.HealthResponse, timeout)

    def stats(self, model: str = "", timeout: Optional[float] = None) -> messages.StatsResponse:
        """Counters since the server started, of every model or of one."""
        return self._unary(Method.STATS, messages.StatsRequest(model), messages.StatsResponse, timeout)

    def models(self, timeout: Optional[float] = None) -> list[messages.ModelInfo]:
        """Every version of every model, by name and then version."""
        request = messages.ListModelsRequest()
        return self._unary(Method.LIST_MODELS, request, messages.ListModelsResponse, timeout).models

    def get_model(self, name: str, version: Optional[int] = None, alias: Optional[str] = None,
                  timeout: Optional[float] = None) -> messages.ModelInfo:
        """One version of a model with its inputs, outputs and labels."""
        request = messages.GetModelRequest(name, version or 0, alias or "")
        answer = self._unary(Method.GET_MODEL, request, messages.GetModelResponse, timeout)
        return answer.model or messages.ModelInfo()

    def _unary(self, method: Method, request: Any, answer: type[Answer], timeout: Optional[float]) -> Answer:
        call = Call(method, request)
        return self._run([call], timeout, 1, lambda: wire.decode(answer, call.result()[0]))

    def _run(self, calls: list[Call], timeout: Optional[float], window: int,
             read: Callable[[], Answer]) -> Answer:
        """Makes the calls and reads their answers; after anything but a StatusError of theirs, a late answer
        may still come on the connection, so that it is closed."""
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        if not self._lock.acquire(timeout=-1 if math.isinf(deadline) else remaining(deadline)):
            raise DeadlineExceeded("the call's time ran out while another thread's call was running")
        try:
            self._exchange(calls, deadline, window)
            return read()
        except BaseException as error:
            if not any(error is call.error for call in calls):
                self.close()
            raise
        finally:
            self._lock.release()

    def _exchange(self, calls: list[Call], deadline: float, window: int) -> None:
        """Sends and receives until every call has its answer, or one has failed and none is in flight."""
        waiting, flying = deque(calls), {}
        if self._connection is not None:
            self._settle(self._connection)
        while waiting or flying:
            if self._connection is None:
                self._connection = Connection(self._address, deadline)
            connection = self._connection
            while waiting and len(flying) < window and not connection.draining \
                    and connection.outgoing_bytes < OUTGOING_BYTES and waiting[0].not_before <= time.monotonic():
                call, id = waiting.popleft(), next(self._ids)
                connection.queue(call.frame(id, deadline))
                flying[id] = call
            if flying:
                for frame in connection.step(deadline):
                    self._take(frame, connection, waiting, flying, deadline)
            elif connection.draining:
                self.close()
            else:
                time.sleep(min(max(0.0, waiting[0].not_before - time.monotonic()), remaining(deadline)))
            if any(call.error for call in calls):
                waiting.clear()

    def _settle(self, connection: Connection) -> None:
        """Drops a connection that the server closed, or said that it will, since the last call."""
        try:
            frames = connection.idle_frames()
        except ConnectionLost:
            frames = None
        if frames is None or any(frame.id == 0 for frame in frames):
            self.close()
        elif frames:
            raise ProtocolError("the server sent an answer that nothing had asked for")

    def _take(self, frame: Frame, connection: Connection, waiting: deque[Call], flying: dict[int, Call],
              deadline: float) -> None:
        """Gives a received frame to its call."""
        if frame.kind == KIND_GOAWAY and frame.id == 0:
            wire.decode(messages.GoAway, frame.metadata)
            connection.draining = True
            return
        if frame.kind == KIND_ANSWER and frame.id == 0 and frame.flags == FLAG_STATUS:
            raise read_status(frame)
        call = flying.get(frame.id)
        if frame.kind != KIND_ANSWER or call is None or frame.method != call.method:
            raise ProtocolError(f"the server answered call {frame.id}, method {frame.method:#x}: not asked for")
        if frame.flags & FLAG_STATUS:
            if frame.flags & FLAG_MORE or call.metadata:
                raise ProtocolError("an error is not the only frame of its answer")
            del flying[frame.id]
            self._fail_or_retry(call, read_status(frame), waiting, deadline)
            return
        call.metadata += frame.metadata
        if len(call.metadata) > MAX_ANSWER_BYTES:
            raise ProtocolError(f"an answer is longer than {MAX_ANSWER_BYTES} bytes")
        if not frame.flags & FLAG_MORE:
            call.body = frame.body
            del flying[frame.id]
        elif frame.body:
            raise ProtocolError("an answer in several frames has a body")

    @staticmethod
    def _fail_or_retry(call: Call, error: StatusError, waiting: deque[Call], deadline: float) -> None:
        call.not_before = time.monotonic() + error.retry_after
        if error.reason == "NOT_PROCESSED" and not call.retried and call.not_before < deadline:
            call.retried = True
            waiting.append(call)
        else:
            call.error = error


def read_status(frame: Frame) -> StatusError:
    """The error that a frame with a Status holds; a code that is not canonical counts as UNKNOWN."""
    status = wire.decode(messages.Status, frame.metadata)
    if status.code == 0:
        raise ProtocolError("the server sent an error whose code is OK")
    details = status.message, status.reason, status.retry_after_ns / 1e9
    if status.code == Code.DEADLINE_EXCEEDED:
        return DeadlineExceeded(*details)
    return StatusError(Code(status.code) if status.code <= 16 else Code.UNKNOWN, *details)
