"""The client: calls become frames, answers become values, and a broken connection is replaced."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable, NamedTuple, Optional, TypeVar, Union

from . import messages, tensors, wire
from .administration import Administration
from .connection import Address, Connection, parse_address, remaining
from .deprecation import Deprecations
from .errors import (
    ApusError,
    ConnectError,
    ConnectionLost,
    DeadlineExceeded,
    PermissionDenied,
    ProtocolError,
    Unauthenticated,
)
from .exchange import Call, Exchange
from .watch import watch_health
from .hello import Token, is_loopback
from .lane import IS_SUPPORTED, LaneUse
from .messages import Method, Priority
from .region import Place, Region, place_of
from .tensors import Classification
from .tls import TLS

# No further call is encoded while so many bytes wait to be sent.
OUTGOING_BYTES = 1 << 20

Answer = TypeVar("Answer")


class Client(Administration):
    """Calls a server at `unix:PATH`, `shm:PATH`, `tcp://HOST:PORT` or `tls://HOST:PORT`.

    The first call connects, and so does the first one after the connection was lost. `timeout` is the time in
    seconds for a whole call, connecting and retrying included; None sets no limit, and every method takes its
    own. Threads may share a client: their calls take turns.

    Over TLS the server's certificate has to be signed by an authority in `ca`, a PEM file (without it, by one
    that this machine trusts), and to be for the address's host, or for `server_name` where that is given.
    `cert` and `key` are PEM files of this client's own certificate, for servers that ask for one.

    `token` is the text that tells a server who calls; `token_file` is a file with it, which is read for every
    connection. Over tcp:// to another machine anybody on the way could read it: that is refused, unless
    `insecure` is set.

    At shm: the socket is the same as at unix:, and calls go through a lane, which is memory shared with the
    server; ConnectError says that it opens none. `lane="auto"` at unix: is a lane where the server opens one,
    and otherwise the socket.

    Every call may raise StatusError (the server's answer is an error), DeadlineExceeded, ConnectError,
    ConnectionLost and ProtocolError. A call is made a second time only where the server says that it did not
    process the first.
    """

    def __init__(self, address: str, timeout: Optional[float] = 10.0, *, ca: Optional[str] = None,
                 cert: Optional[str] = None, key: Optional[str] = None, token: Optional[str] = None,
                 token_file: Optional[str] = None, server_name: Optional[str] = None,
                 insecure: bool = False, lane: Optional[str] = None) -> None:
        self._address = parse_address(address)
        self._lane = make_lane_use(self._address, lane)
        self._timeout = math.inf if timeout is None else timeout
        self._tls = make_tls(self._address, ca, cert, key, server_name)
        self._token = make_token(self._address, token, token_file, insecure)
        self._connection: Optional[Connection] = None
        self._ids = itertools.count(1)
        self._regions: list[Region] = []
        self._region_numbers = itertools.count(1)
        self._deprecations = Deprecations()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Client({self._address.text!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; a later call opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def region(self, byte_count: int) -> Region:
        """Memory that the server may look into, for large arrays that are not copied on their way.

        `classify` knows the arrays that `Region.array` gives, and their C-contiguous parts that begin on a
        multiple of 64 bytes.
        """
        region = Region(next(self._region_numbers), byte_count, self._forget)
        self._regions.append(region)
        return region

    def classify(self, model: str, array: Any = None, top: int = 0, version: Optional[int] = None,
                 alias: Optional[str] = None, scores: bool = False, labels: bool = True,
                 timeout: Optional[float] = None, trace_parent: str = "", *,
                 text: Union[str, Sequence[str], None] = None, route_key: str = "",
                 priority: Optional[str] = None) -> Classification:
        """Classifies one input, an array of one dimension, or a batch, whose first dimension is the rows.

        Models of texts take `text` instead: one str, or a list of them, a row each. A large array is sent
        from where it lies: no other thread may change it meanwhile.

        `top` keeps the most probable classes; 0 gives every class in the order of its index. `version` or
        `alias` choose a version of the model, `scores` asks for the raw outputs, `labels` for the names.
        `trace_parent` is the trace that the call belongs to, as W3C Trace Context writes it in `traceparent`;
        the server puts it into its access log, and ignores a malformed one. `route_key`, for example a user's
        id, keeps its calls on one side where a share of the calls goes to another version. `priority` is
        "interactive" or "batch": where calls wait in the server, batch calls wait for interactive ones; None
        is as the server's policy says of this caller, else interactive.

        The first answer of a deprecated version warns of it, as `DeprecatedVersion`.
        """
        if (array is None) == (text is None):
            raise ValueError("give an array or text=, one of them")
        one_input = text_input(text) if text is not None else array_input(array, self._regions, is_lent=True)
        choice = Choice(model, version, alias, top, scores, labels, trace_parent, route_key,
                        as_priority(priority))
        return self._classify(choice, [one_input], timeout, 1)[0]

    def classify_many(self, model: str, arrays: Iterable[Any], top: int = 0, version: Optional[int] = None,
                      alias: Optional[str] = None, scores: bool = False, labels: bool = True,
                      timeout: Optional[float] = None, window: int = 64, trace_parent: str = "", *,
                      route_key: str = "", priority: Optional[str] = None) -> list[Classification]:
        """Makes a call for each array, up to `window` at the same time, and gives the answers in order.

        `timeout` is for all of them together, and so is all else that `classify` takes. The first call that
        fails raises, and no further ones are sent.
        """
        inputs = [array_input(array, self._regions) for array in arrays]
        choice = Choice(model, version, alias, top, scores, labels, trace_parent, route_key,
                        as_priority(priority))
        return self._classify(choice, inputs, timeout, window)

    def _classify(self, choice: Choice, inputs: list[Input], timeout: Optional[float],
                  window: int) -> list[Classification]:
        """A call for each input."""
        check_choice(choice.version, choice.alias)
        if choice.top < 0 or window < 1:
            raise ValueError(f"top is {choice.top} and window {window}: they must be at least 0 and 1")
        calls = [Call(Method.CLASSIFY, choice.request(one.part), one.body, one.place) for one in inputs]
        asked = [tensors.Asked(one.rows, one.single, choice.top, choice.labels, choice.scores)
                 for one in inputs]
        results = self._run(calls, timeout, window, lambda: [
            tensors.read_classification(bytes(call.metadata), call.body, wanted)
            for call, wanted in zip(calls, asked)])
        for result in results:
            # The caller is above this method and the public one.
            self._deprecations.warn(choice.model, result.version, result.deprecated, stacklevel=3)
        return results

    def health(self, model: str = "", timeout: Optional[float] = None) -> messages.HealthResponse:
        """Whether the server, or one model of it, answers calls."""
        request = messages.HealthRequest(model)
        return self._unary(Method.HEALTH, request, messages.HealthResponse, timeout)

    def watch_health(self, model: str = "",
                     timeout: Optional[float] = None) -> Iterator[messages.HealthResponse]:
        """The state of the server, or of one model, now and at every change, until the server drains.

        The last value then is NOT_SERVING. The watch has a connection of its own, so that calls go on beside
        it; closing the iterator closes that. `timeout` is for connecting and the first value.
        """
        return watch_health(lambda deadline: Connection(self._address, deadline, self._tls, self._token),
                            model, self._timeout if timeout is None else timeout)

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
        check_choice(version, alias)
        request = messages.GetModelRequest(name, version or 0, alias or "")
        model = self._unary(Method.GET_MODEL, request, messages.GetModelResponse, timeout).model
        if model is None:
            raise ProtocolError("the answer lacks the model that was asked for")
        return model

    def _unary(self, method: Method, request: Any, answer: type[Answer], timeout: Optional[float],
               body: bytes = b"") -> Answer:
        call = Call(method, request, body)
        return self._run([call], timeout, 1, lambda: wire.decode(answer, bytes(call.metadata)))

    def _run(self, calls: list[Call], timeout: Optional[float], window: int,
             read: Callable[[], Answer]) -> Answer:
        """Makes the calls and reads their answers.

        After anything but an error that the server answered a call with, late answers may still come on the
        connection, so that it is closed.
        """
        seconds = self._timeout if timeout is None else timeout
        if seconds <= 0:
            raise DeadlineExceeded(f"a time-out of {seconds} s leaves no time for a call")
        exchange = Exchange(calls, seconds, window, self._ids)
        if not self._lock.acquire(timeout=-1 if math.isinf(seconds) else seconds):
            raise DeadlineExceeded("the call's time ran out while another thread's call was running")
        try:
            self._make(exchange)
            for call in calls:
                if call.error is not None:
                    raise call.error
            return read()
        except BaseException as error:
            if not any(error is call.error for call in calls):
                self.close()
            raise
        finally:
            self._lock.release()

    def _make(self, exchange: Exchange) -> None:
        """Sends and receives until every call has its answer, or one has failed and none is in flight."""
        if self._connection is not None:
            self._drop_if_closed(self._connection)
        while not exchange.done:
            if self._connection is None:
                self._connection = self._connect(exchange.deadline)
                exchange.goaway = False
            connection = self._connection
            if not exchange.flying and not self._register(connection, exchange):
                return
            while connection.outgoing_bytes < OUTGOING_BYTES:
                frame = exchange.next_frame(connection.regions)
                if frame is None:
                    break
                connection.queue(*frame)
            if exchange.flying or connection.outgoing_bytes:
                for received in connection.step(exchange.deadline):
                    exchange.take(received)
            elif not exchange.goaway:
                time.sleep(min(exchange.pause, remaining(exchange.deadline)))
            if exchange.goaway and not exchange.flying:
                self.close()

    def _connect(self, deadline: float) -> Connection:
        """A new connection, and a lane if that is wished."""
        connection = Connection(self._address, deadline, self._tls, self._token)
        try:
            refusal = None if self._lane is LaneUse.NEVER else connection.open_lane(deadline)
            if refusal is None or self._lane is LaneUse.AUTO:
                return connection
            if isinstance(refusal, (Unauthenticated, PermissionDenied)):
                raise refusal
            raise ConnectError(f"no lane at {self._address}: {refusal}; unix:{self._address.place} takes "
                               "calls over the socket") from refusal
        except ConnectionLost as error:
            connection.close()
            raise ConnectError(f"no lane at {self._address}: {error}") from error
        except BaseException:
            connection.close()
            raise

    def _register(self, connection: Connection, exchange: Exchange) -> bool:
        """Lets the server look into the regions of the calls; False when it refused and they are given up."""
        for region in exchange.regions:
            refusal = connection.register(region, exchange.deadline) if region.is_open else None
            if refusal is not None:
                exchange.refuse(refusal)
                return False
        return True

    def _forget(self, region: Region) -> None:
        """Ends the server's look into a region that is closed."""
        with self._lock:
            self._regions.remove(region)
            if self._connection is None or region.number not in self._connection.regions:
                return
            try:
                self._connection.unregister(region.number, time.monotonic() + self._timeout)
            except BaseException as error:
                self.close()
                if not isinstance(error, ApusError):
                    raise

    def _drop_if_closed(self, connection: Connection) -> None:
        """Drops a connection that the server closed, or said that it will, since the last call."""
        try:
            frames = connection.idle_frames()
        except ConnectionLost:
            frames = None
        if frames is None or any(frame.id == 0 for frame in frames):
            self.close()
        elif frames:
            raise ProtocolError("the server sent an answer that nobody asked for")


class Input(NamedTuple):
    """What is classified by one call, and whether it is one row and no batch."""

    part: messages.Part
    body: Any
    rows: int
    single: bool
    place: Optional[Place] = None


def array_input(array: Any, regions: Sequence[Region], is_lent: bool = False) -> Input:
    """What is lent, or lies in a region, is read there when it is sent; everything else is copied now."""
    values, single = tensors.as_input(array)
    place = place_of(values, regions)
    is_copied = place is None and not is_lent
    body = values.tobytes() if is_copied else memoryview(tensors.bytes_of(values))
    return Input(tensors.part_of(values), body, len(values), single, place)


def text_input(text: Union[str, Sequence[str]]) -> Input:
    texts, single = tensors.as_texts(text)
    return Input(tensors.part_of_texts(texts), b"".join(texts), len(texts), single)


class Choice(NamedTuple):
    """What classifies, and what is wanted of it."""

    model: str
    version: Optional[int]
    alias: Optional[str]
    top: int
    scores: bool
    labels: bool
    trace_parent: str
    route_key: str
    priority: Priority

    def request(self, part: messages.Part) -> messages.ClassifyRequest:
        return messages.ClassifyRequest(
            model=self.model, version=self.version or 0, alias=self.alias or "", inputs=[part],
            top_k=self.top, want_scores=self.scores, want_labels=self.labels,
            trace_parent=self.trace_parent.encode(), route_key=self.route_key, priority=self.priority)


PRIORITIES = {None: Priority.UNSPECIFIED, "interactive": Priority.INTERACTIVE, "batch": Priority.BATCH}


def as_priority(name: Optional[str]) -> Priority:
    if name not in PRIORITIES:
        raise ValueError(f"priority is {name!r}: it must be \"interactive\", \"batch\" or None")
    return PRIORITIES[name]


def check_choice(version: Optional[int], alias: Optional[str]) -> None:
    if version and alias:
        raise ValueError("give a version or an alias, not both")


def make_lane_use(address: Address, lane: Optional[str]) -> LaneUse:
    """Whether calls go through a lane; where this system has none, only shm: is an error."""
    if lane is not None and (lane != "auto" or address.scheme != "unix"):
        raise ValueError(f'lane="auto" is for unix: addresses: {address} takes no lane={lane!r}')
    if address.scheme == "shm" and not IS_SUPPORTED:
        raise ConnectError(f"there are no lanes on this system, they need Linux: use unix:{address.place}")
    if address.scheme == "shm":
        return LaneUse.ALWAYS
    return LaneUse.AUTO if lane and IS_SUPPORTED else LaneUse.NEVER


def make_tls(address: Address, ca: Optional[str], cert: Optional[str], key: Optional[str],
             server_name: Optional[str]) -> Optional[TLS]:
    """What a tls:// address needs; any other address takes no such options."""
    if address.scheme == "tls":
        if key is not None and cert is None:
            raise ValueError("key= goes with cert=, the certificate of that private key")
        return TLS(server_name or address.place[0], ca, cert, key)
    for name, value in (("ca", ca), ("cert", cert), ("key", key), ("server_name", server_name)):
        if value is not None:
            raise ValueError(f"{name}= is for tls:// addresses, and {address} is not encrypted")
    return None


def make_token(address: Address, text: Optional[str], file: Optional[str], insecure: bool) -> Optional[Token]:
    if text is None and file is None:
        return None
    if text is not None and file is not None:
        raise ValueError("give token= or token_file=, not both")
    if address.scheme == "tcp" and not is_loopback(address.place[0]) and not insecure:
        raise ValueError(f"a token would go to {address} for anybody on the way to read: use a tls:// "
                         "address, or insecure=True where the network is safe")
    return Token(text or "", file)
