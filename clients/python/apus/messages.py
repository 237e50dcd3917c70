"""The messages of proto/apus.proto as dataclasses: each field's default carries its number and its type."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from typing import Any, Optional


class Method(enum.IntEnum):
    """The frame header's method."""

    HELLO = 0
    OPEN_LANE = 0x0001
    REGISTER_REGION = 0x0002
    UNREGISTER_REGION = 0x0003
    CLASSIFY = 0x0101
    HEALTH = 0x0102
    STATS = 0x0103
    LIST_MODELS = 0x0104
    GET_MODEL = 0x0105
    WATCH_HEALTH = 0x0106
    BEGIN_PUBLISH = 0x0201
    UPLOAD = 0x0202
    COMMIT_PUBLISH = 0x0203
    ABORT_PUBLISH = 0x0204
    WITHDRAW = 0x0205
    ROLLBACK = 0x0206
    LOAD = 0x0207
    UNLOAD = 0x0208
    VERIFY = 0x0209
    DEPRECATE = 0x020A
    SET_ALIAS = 0x020B
    SET_TRAFFIC = 0x020C
    HISTORY = 0x020D


class DataType(enum.IntEnum):
    """The type of one element of a tensor."""

    UNSPECIFIED = 0
    FLOAT32 = 1
    FLOAT64 = 2
    FLOAT16 = 3
    BFLOAT16 = 4
    INT8 = 5
    UINT8 = 6
    INT32 = 7
    UINT32 = 8
    INT64 = 9
    BOOL = 10
    UTF8 = 11
    BYTES = 12


class Priority(enum.IntEnum):
    """Whose turn it is where calls wait to be computed."""

    UNSPECIFIED = 0
    INTERACTIVE = 1
    BATCH = 2


class ServingStatus(enum.IntEnum):
    """The states of the gRPC health checking protocol."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


class ModelState(enum.IntEnum):
    """Where a version of a model is in its life."""

    UNSPECIFIED = 0
    LOADING = 1
    READY = 2
    FAILED = 3
    WARMING = 4
    DRAINING = 5
    UNLOADED = 6
    WITHDRAWN = 7


DEFAULTS = {"uint32": 0, "uint64": 0, "int64": 0, "bool": False, "float": 0.0, "double": 0.0, "string": "",
            "bytes": b""}


def one(number: int, kind: Any) -> Any:
    """A field that occurs once; `kind` is a name in DEFAULTS, an enum, or a message, which may be absent."""
    if isinstance(kind, str):
        default = DEFAULTS[kind]
    else:
        default = kind(0) if issubclass(kind, enum.IntEnum) else None
    return dataclasses.field(default=default, metadata={"number": number, "kind": kind, "repeated": False})


def many(number: int, kind: Any) -> Any:
    """A repeated field."""
    metadata = {"number": number, "kind": kind, "repeated": True}
    return dataclasses.field(default_factory=list, metadata=metadata)


@dataclass
class Part:
    """One tensor inside the frame's body, or inside a region."""

    dtype: DataType = one(1, DataType)
    shape: list[int] = many(2, "uint64")
    offset: int = one(3, "uint64")
    length: int = one(4, "uint64")
    lengths: list[int] = many(5, "uint64")
    name: str = one(6, "string")
    region: int = one(7, "uint32")


@dataclass
class HelloRequest:
    min_version: int = one(1, "uint32")
    max_version: int = one(2, "uint32")
    client: str = one(3, "string")
    token: bytes = one(4, "bytes")


@dataclass
class HelloResponse:
    version: int = one(1, "uint32")


@dataclass
class OpenLaneRequest:
    request_ring_bytes: int = one(1, "uint64")
    answer_ring_bytes: int = one(2, "uint64")


@dataclass
class LaneRing:
    """Where a ring lies, in bytes from the start of the memory."""

    control_offset: int = one(1, "uint64")
    data_offset: int = one(2, "uint64")
    bytes: int = one(3, "uint64")


@dataclass
class OpenLaneResponse:
    layout: int = one(1, "uint32")
    memory_bytes: int = one(2, "uint64")
    requests: Optional[LaneRing] = one(3, LaneRing)
    answers: Optional[LaneRing] = one(4, LaneRing)


@dataclass
class RegisterRegionRequest:
    region: int = one(1, "uint32")
    bytes: int = one(2, "uint64")


@dataclass
class RegisterRegionResponse:
    pass


@dataclass
class UnregisterRegionRequest:
    region: int = one(1, "uint32")


@dataclass
class UnregisterRegionResponse:
    pass


@dataclass
class ClassifyRequest:
    model: str = one(1, "string")
    version: int = one(2, "uint64")
    alias: str = one(3, "string")
    inputs: list[Part] = many(4, Part)
    top_k: int = one(5, "uint32")
    timeout_ns: int = one(6, "uint64")
    want_scores: bool = one(7, "bool")
    want_labels: bool = one(8, "bool")
    trace_parent: bytes = one(10, "bytes")
    route_key: str = one(11, "string")
    priority: Priority = one(12, Priority)


@dataclass
class TimeAccount:
    """Where a call's time went in the server, in nanoseconds, and the rows computed together with it."""

    receive_ns: int = one(1, "uint64")
    queue_ns: int = one(2, "uint64")
    compute_ns: int = one(3, "uint64")
    encode_ns: int = one(4, "uint64")
    total_ns: int = one(5, "uint64")
    batch_rows: int = one(6, "uint32")


@dataclass
class ClassifyResponse:
    rows: int = one(1, "uint32")
    classes: int = one(2, "uint32")
    probabilities: Optional[Part] = one(3, Part)
    indices: Optional[Part] = one(4, Part)
    scores: Optional[Part] = one(5, Part)
    labels: list[str] = many(6, "string")
    version: int = one(7, "uint64")
    load: float = one(9, "float")
    time: Optional[TimeAccount] = one(10, TimeAccount)
    deprecated: str = one(11, "string")


@dataclass
class Status:
    code: int = one(1, "uint32")
    message: str = one(2, "string")
    reason: str = one(3, "string")
    retry_after_ns: int = one(4, "uint64")


@dataclass
class GoAway:
    reason: str = one(1, "string")
    grace_ns: int = one(2, "uint64")


@dataclass
class HealthRequest:
    model: str = one(1, "string")


@dataclass
class HealthResponse:
    """Whether calls are answered, and a word about it for a person."""

    status: ServingStatus = one(1, ServingStatus)
    detail: str = one(2, "string")


@dataclass
class StatsRequest:
    model: str = one(1, "string")
    want_buckets: bool = one(2, "bool")


@dataclass
class CodeCount:
    """Answers with one status code; 0 is OK."""

    code: int = one(1, "uint32")
    count: int = one(2, "uint64")


@dataclass
class RefusalCount:
    """Answers that are a status with one reason."""

    reason: str = one(1, "string")
    count: int = one(2, "uint64")


@dataclass
class ServerStats:
    """The process and its connections, since the start."""

    version: str = one(1, "string")
    uptime_ns: int = one(2, "uint64")
    reactors: int = one(3, "uint32")
    connections_open: int = one(4, "uint64")
    connections_total: int = one(5, "uint64")
    requests_total: int = one(6, "uint64")
    codes: list[CodeCount] = many(7, CodeCount)
    received_bytes_total: int = one(8, "uint64")
    sent_bytes_total: int = one(9, "uint64")
    system_calls_total: int = one(10, "uint64")
    tensor_copies_total: int = one(11, "uint64")
    tensor_copied_bytes_total: int = one(12, "uint64")
    polls_total: int = one(13, "uint64")
    sleeps_total: int = one(14, "uint64")
    protocol_errors_total: int = one(15, "uint64")
    blas_core: str = one(16, "string")
    tls_handshakes_total: int = one(17, "uint64")
    tls_handshakes_resumed_total: int = one(18, "uint64")
    tls_handshake_failures_total: int = one(19, "uint64")
    lanes_open: int = one(20, "uint64")
    lane_bells_total: int = one(21, "uint64")
    polling_ns_total: int = one(22, "uint64")
    wakeups_saved_total: int = one(23, "uint64")
    queued_calls: int = one(24, "uint64")
    refusals: list[RefusalCount] = many(25, RefusalCount)
    load: float = one(26, "float")


@dataclass
class LatencySummary:
    """Quantiles of a duration, in nanoseconds."""

    count: int = one(1, "uint64")
    p50_ns: int = one(2, "uint64")
    p90_ns: int = one(3, "uint64")
    p99_ns: int = one(4, "uint64")
    p999_ns: int = one(5, "uint64")
    max_ns: int = one(6, "uint64")
    bucket_counts: list[int] = many(7, "uint64")


@dataclass
class BatchCount:
    """Batches of at most `rows` rows."""

    rows: int = one(1, "uint32")
    count: int = one(2, "uint64")


@dataclass
class Drift:
    """How far calls and answers have moved from the samples that were published with the version.

    The numbers are population stability indices: below 0.1 nothing has changed, above 0.25 much has. `inputs`
    has one for each number of an input, or is empty where they are over 256; `largest_input` is the largest of
    all, at `largest_input_index`. `rows_total` rows were looked at.
    """

    classes: float = one(1, "double")
    inputs: list[float] = many(2, "double")
    rows_total: int = one(3, "uint64")
    largest_input: float = one(4, "double")
    largest_input_index: int = one(5, "uint32")


@dataclass
class Shadow:
    """Calls that another version answered and this one computed as well.

    Of `rows_total` rows, `disagreements_total` had another most probable class; `dropped_total` calls were not
    mirrored, because too many were waiting.
    """

    rows_total: int = one(1, "uint64")
    disagreements_total: int = one(2, "uint64")
    dropped_total: int = one(3, "uint64")


@dataclass
class ModelStats:
    """One version of a model, since the start.

    `drift` is None for a version without samples, `shadow` where no other version's calls are mirrored to it.
    """

    model: str = one(1, "string")
    version: int = one(2, "uint64")
    requests_total: int = one(3, "uint64")
    rows_total: int = one(4, "uint64")
    codes: list[CodeCount] = many(5, CodeCount)
    total: Optional[LatencySummary] = one(6, LatencySummary)
    queue: Optional[LatencySummary] = one(7, LatencySummary)
    compute: Optional[LatencySummary] = one(8, LatencySummary)
    batches: list[BatchCount] = many(9, BatchCount)
    drift: Optional[Drift] = one(10, Drift)
    shadow: Optional[Shadow] = one(11, Shadow)


@dataclass
class StatsResponse:
    """Counters of the server and of each version of each model."""

    server: Optional[ServerStats] = one(1, ServerStats)
    models: list[ModelStats] = many(2, ModelStats)


@dataclass
class TensorInfo:
    """An input or output of a model; -1 in the shape is the batch."""

    name: str = one(1, "string")
    dtype: DataType = one(2, DataType)
    shape: list[int] = many(3, "int64")


@dataclass
class ModelInfo:
    """One version of a model; inputs, outputs and labels are filled by `Client.get_model` alone."""

    name: str = one(1, "string")
    version: int = one(2, "uint64")
    state: ModelState = one(3, ModelState)
    reason: str = one(4, "string")
    format: str = one(5, "string")
    digest: bytes = one(6, "bytes")
    aliases: list[str] = many(7, "string")
    inputs: list[TensorInfo] = many(8, TensorInfo)
    outputs: list[TensorInfo] = many(9, TensorInfo)
    labels: list[str] = many(10, "string")
    architecture: str = one(11, "string")
    parameters: int = one(12, "uint64")
    max_batch_rows: int = one(13, "uint32")
    deprecated: str = one(14, "string")
    signature: bytes = one(15, "bytes")
    published_by: str = one(16, "string")
    published_ns: int = one(17, "uint64")
    source: str = one(18, "string")
    signed_by: str = one(19, "string")
    weight: int = one(20, "uint32")
    shadow: bool = one(21, "bool")
    memory_bytes: int = one(22, "uint64")


@dataclass
class ListModelsRequest:
    pass


@dataclass
class ListModelsResponse:
    models: list[ModelInfo] = many(1, ModelInfo)


@dataclass
class GetModelRequest:
    model: str = one(1, "string")
    version: int = one(2, "uint64")
    alias: str = one(3, "string")


@dataclass
class GetModelResponse:
    model: Optional[ModelInfo] = one(1, ModelInfo)
