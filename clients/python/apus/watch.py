"""WatchHealth: one request that is answered again at every change."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Callable

from . import messages, wire
from .connection import Connection
from .errors import ProtocolError
from .exchange import check_goaway, read_status
from .messages import Method
from .wire import FLAG_MORE, FLAG_STATUS, KIND_GOAWAY, KIND_REQUEST, Frame

WATCH_ID = 1


def watch_health(connect: Callable[[float], Connection], model: str,
                 timeout: float) -> Iterator[messages.HealthResponse]:
    """Connects when the first value is asked for; raises StatusError where the server ends the watch."""
    deadline = time.monotonic() + timeout
    connection = connect(deadline)
    try:
        metadata = wire.encode(messages.HealthRequest(model))
        connection.queue(wire.encode_frame(KIND_REQUEST, Method.WATCH_HEALTH, WATCH_ID, metadata))
        while True:
            for frame in connection.step(deadline):
                if frame.kind == KIND_GOAWAY:
                    check_goaway(frame)
                    continue
                yield read_state(frame)
                if not frame.flags & FLAG_MORE:
                    return
                deadline = math.inf
    finally:
        connection.close()


def read_state(frame: Frame) -> messages.HealthResponse:
    if frame.flags & FLAG_STATUS:
        raise read_status(frame)
    if frame.id != WATCH_ID or frame.method != Method.WATCH_HEALTH or frame.body:
        raise ProtocolError(f"an answer to call {frame.id} by {frame.method:#06x} was not asked for")
    return wire.decode(messages.HealthResponse, frame.metadata)
