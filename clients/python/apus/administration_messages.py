"""The messages of the administration service, made as those of messages.py are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .messages import ModelInfo, many, one


@dataclass
class UploadFile:
    name: str = one(1, "string")
    size: int = one(2, "uint64")
    sha256: bytes = one(3, "bytes")


@dataclass
class BeginPublishRequest:
    model: str = one(1, "string")
    version: int = one(2, "uint64")
    files: list[UploadFile] = many(3, UploadFile)
    source: str = one(4, "string")
    aliases: list[str] = many(5, "string")
    keep_latest: bool = one(6, "bool")


@dataclass
class BeginPublishResponse:
    upload: int = one(1, "uint64")
    version: int = one(2, "uint64")
    max_chunk_bytes: int = one(3, "uint32")


@dataclass
class UploadRequest:
    upload: int = one(1, "uint64")
    file: int = one(2, "uint32")
    offset: int = one(3, "uint64")


@dataclass
class UploadResponse:
    received: int = one(1, "uint64")


@dataclass
class CommitPublishRequest:
    upload: int = one(1, "uint64")


@dataclass
class AbortPublishRequest:
    upload: int = one(1, "uint64")


@dataclass
class AbortPublishResponse:
    pass


@dataclass
class VersionRequest:
    model: str = one(1, "string")
    version: int = one(2, "uint64")
    note: str = one(3, "string")
    delete_files: bool = one(4, "bool")


@dataclass
class VersionResponse:
    """A version as it is after an act, and what was done."""

    model: Optional[ModelInfo] = one(1, ModelInfo)
    detail: str = one(2, "string")


@dataclass
class SetAliasRequest:
    model: str = one(1, "string")
    alias: str = one(2, "string")
    version: int = one(3, "uint64")


@dataclass
class TrafficBounds:
    max_errors: int = one(1, "uint32")
    max_latency_ratio: float = one(2, "double")
    window_ns: int = one(3, "uint64")
    min_calls: int = one(4, "uint32")


@dataclass
class SetTrafficRequest:
    model: str = one(1, "string")
    version: int = one(2, "uint64")
    weight: int = one(3, "uint32")
    shadow: bool = one(4, "bool")
    bounds: Optional[TrafficBounds] = one(5, TrafficBounds)


@dataclass
class HistoryRequest:
    model: str = one(1, "string")
    limit: int = one(2, "uint32")


@dataclass
class Act:
    """A line of the audit log: who did what to which version, and how it went.

    `time_ns` counts from 1970, `version` 0 is none, `result` is "ok" or the status code's name.
    """

    sequence: int = one(1, "uint64")
    time_ns: int = one(2, "uint64")
    who: str = one(3, "string")
    #: The transport, for example "unix", or "server" for what the server did by itself.
    from_: str = one(4, "string")
    act: str = one(5, "string")
    model: str = one(6, "string")
    version: int = one(7, "uint64")
    detail: str = one(8, "string")
    result: str = one(9, "string")


@dataclass
class HistoryResponse:
    acts: list[Act] = many(1, Act)
