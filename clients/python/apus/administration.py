"""What an administrator does with the versions of a model, while the server answers calls."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Iterable
from typing import Any, Optional, TypeVar

from . import administration_messages as messages
from .errors import ApusError, DeadlineExceeded, ProtocolError, StatusError
from .messages import Method
from .publishing import pieces, version_files

# Shares are sent in ten-thousandths.
WHOLE = 10_000
LONGEST_WINDOW = 86_400.0

Answer = TypeVar("Answer")


class Administration(abc.ABC):
    """The methods of a client that need the right `admin` on the model.

    Over a Unix socket, root and the server's own user have it. Each method but `history` gives the version as
    it is afterwards, `.model`, and what was done, `.detail`; each act, refused ones included, is in the history.
    `timeout` is in seconds, as of every call.
    """

    @abc.abstractmethod
    def _unary(self, method: Method, request: Any, answer: type[Answer], timeout: Optional[float],
               body: bytes = b"") -> Answer:
        """One request and its answer."""

    def publish(self, folder: str, name: str, version: Optional[int] = None, aliases: Iterable[str] = (),
                source: str = "", keep_latest: bool = False,
                timeout: Optional[float] = None) -> messages.VersionResponse:
        """Sends a folder's files as a version of a model; returns when it serves.

        `timeout` is for each call; the last of them loads the model. What fails is taken back.
        """
        files = version_files(folder)
        request = messages.BeginPublishRequest(
            name, version or 0, [file for _, file in files], source, list(aliases), keep_latest)
        begun = self._unary(Method.BEGIN_PUBLISH, request, messages.BeginPublishResponse, timeout)
        if begun.max_chunk_bytes == 0:
            raise ProtocolError("pieces of no bytes can carry no file")
        try:
            for piece, body in pieces(files, begun.upload, begun.max_chunk_bytes):
                self._unary(Method.UPLOAD, piece, messages.UploadResponse, timeout, body)
            commit = messages.CommitPublishRequest(begun.upload)
            return self._unary(Method.COMMIT_PUBLISH, commit, messages.VersionResponse, timeout)
        except StatusError as error:
            if not isinstance(error, DeadlineExceeded):
                with contextlib.suppress(ApusError):
                    abort = messages.AbortPublishRequest(begun.upload)
                    self._unary(Method.ABORT_PUBLISH, abort, messages.AbortPublishResponse, timeout)
            raise

    def load(self, name: str, version: int, timeout: Optional[float] = None) -> messages.VersionResponse:
        """Brings a version that is on disk alone into memory; returns when it is ready.

        It brings a withdrawn version back, too.
        """
        return self._act(Method.LOAD, name, version, timeout)

    def unload(self, name: str, version: int, timeout: Optional[float] = None) -> messages.VersionResponse:
        """Takes a version out of memory; it stays on disk, and its aliases are removed."""
        return self._act(Method.UNLOAD, name, version, timeout)

    def withdraw(self, name: str, version: int, note: str = "", delete_files: bool = False,
                 timeout: Optional[float] = None) -> messages.VersionResponse:
        """Takes a version out of service, and with `delete_files` off the disk; `note` says why."""
        return self._act(Method.WITHDRAW, name, version, timeout, note, delete_files)

    def rollback(self, name: str, version: Optional[int] = None,
                 timeout: Optional[float] = None) -> messages.VersionResponse:
        """Lets the version answer that did before, or this one."""
        request = messages.VersionRequest(name, version or 0)
        return self._unary(Method.ROLLBACK, request, messages.VersionResponse, timeout)

    def verify(self, name: str, version: int, timeout: Optional[float] = None) -> messages.VersionResponse:
        """Hashes a version's files on disk again; a StatusError DATA_LOSS says that they have changed."""
        return self._act(Method.VERIFY, name, version, timeout)

    def deprecate(self, name: str, version: int, note: str,
                  timeout: Optional[float] = None) -> messages.VersionResponse:
        """Tells every caller of a version to leave it: `note` is what they read; "" makes it current again."""
        return self._act(Method.DEPRECATE, name, version, timeout, note)

    def alias(self, name: str, alias: str, version: Optional[int],
              timeout: Optional[float] = None) -> messages.VersionResponse:
        """Makes an alias mean a version; None: nothing any more."""
        request = messages.SetAliasRequest(name, alias, version or 0)
        return self._unary(Method.SET_ALIAS, request, messages.VersionResponse, timeout)

    def weight(self, name: str, version: int, percent: float, *, max_errors: Optional[float] = None,
               max_latency_ratio: Optional[float] = None, window: Optional[float] = None,
               min_calls: Optional[int] = None, timeout: Optional[float] = None) -> messages.VersionResponse:
        """Sends a share of the calls without version and alias to a version, a canary; 0 ends it.

        `percent` goes in steps of 0.01. With a bound, the server takes the share back by itself: when
        `max_errors` per cent more of the version's calls fail than of the others', or when its 99th percentile
        is more than `max_latency_ratio` times theirs. Both are looked at over `window` seconds (60), from
        `min_calls` calls of the version on (100).
        """
        check_version(version)
        bounds = make_bounds(max_errors, max_latency_ratio, window, min_calls)
        request = messages.SetTrafficRequest(name, version, make_share("percent", percent), False, bounds)
        return self._unary(Method.SET_TRAFFIC, request, messages.VersionResponse, timeout)

    def shadow(self, name: str, version: int, on: bool = True,
               timeout: Optional[float] = None) -> messages.VersionResponse:
        """Lets a version compute the calls without version and alias as well, which the others answer.

        `stats` counts where it disagrees.
        """
        check_version(version)
        request = messages.SetTrafficRequest(name, version, WHOLE if on else 0, True)
        return self._unary(Method.SET_TRAFFIC, request, messages.VersionResponse, timeout)

    def history(self, name: str = "", limit: int = 100,
                timeout: Optional[float] = None) -> list[messages.Act]:
        """The newest acts on a model, or on all, the newest first."""
        check_count("limit", limit)
        request = messages.HistoryRequest(name, limit)
        return self._unary(Method.HISTORY, request, messages.HistoryResponse, timeout).acts

    def _act(self, method: Method, name: str, version: int, timeout: Optional[float], note: str = "",
             delete_files: bool = False) -> messages.VersionResponse:
        check_version(version)
        request = messages.VersionRequest(name, version, note, delete_files)
        return self._unary(method, request, messages.VersionResponse, timeout)


def check_version(version: int) -> None:
    if not 0 < version < 1 << 64:
        raise ValueError(f"{version} is no version: they count from 1")


def check_count(name: str, count: int) -> None:
    if not 0 < count < 1 << 32:
        raise ValueError(f"{name} is {count}: it must be at least 1 and below 2^32")


def make_share(name: str, percent: float) -> int:
    """Per cent as ten-thousandths."""
    share = round(percent * 100) if 0 <= percent <= 100 else -1
    if share < 0 or (share == 0 and percent > 0):
        raise ValueError(f"{name} is {percent}: it must be per cent, 0 to 100, in steps of 0.01")
    return share


def make_bounds(max_errors: Optional[float], max_latency_ratio: Optional[float], window: Optional[float],
                min_calls: Optional[int]) -> Optional[messages.TrafficBounds]:
    """When a canary is over; None where nothing bounds it."""
    bounds = messages.TrafficBounds()
    if max_errors is not None:
        bounds.max_errors = make_share("max_errors", max_errors)
        if bounds.max_errors == 0:
            raise ValueError("max_errors is 0, which would be no bound: the smallest is 0.01")
    if max_latency_ratio is not None:
        if not 0 < max_latency_ratio <= 1e6:
            raise ValueError(f"max_latency_ratio is {max_latency_ratio}: it must be above 0, for example 1.5")
        bounds.max_latency_ratio = max_latency_ratio
    if window is not None:
        if not 0 < window <= LONGEST_WINDOW:
            raise ValueError(f"window is {window}: it must be seconds, above 0 and at most a day's 86400")
        bounds.window_ns = max(1, int(window * 1e9))
    if min_calls is not None:
        check_count("min_calls", min_calls)
        bounds.min_calls = min_calls
    if bounds.max_errors or bounds.max_latency_ratio:
        return bounds
    if window is not None or min_calls is not None:
        raise ValueError("window and min_calls go with max_errors or max_latency_ratio, which they are for")
    return None
