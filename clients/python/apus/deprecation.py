"""What a caller is told when a version that is on its way out has answered."""

from __future__ import annotations

import threading
import warnings

# Further versions begin again: a server cannot make a client remember without end.
REMEMBERED = 1000


class DeprecatedVersion(FutureWarning):
    """The version that answered a call is deprecated; its text says why, and what to use instead.

    It is a FutureWarning, and no DeprecationWarning, which Python hides by default: who deprecates a version
    means the people that run its callers.
    """


class Deprecations:
    """The versions of which a client has been warned, each with the text: another one is told again."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, int], str] = {}
        self._lock = threading.Lock()

    def warn(self, model: str, version: int, text: str, stacklevel: int) -> None:
        """Warns, unless it has before; without a text the version is current."""
        with self._lock:
            if self._told.get((model, version), "") == text:
                return
            if len(self._told) >= REMEMBERED:
                self._told.clear()
            self._told[model, version] = text
        if text:
            message = f"version {version} of the model {model!r} is deprecated: {text}"
            warnings.warn(message, DeprecatedVersion, stacklevel=stacklevel + 1)
