"""Client for Apus, a server of trained classifiers: numpy arrays in, classes and probabilities out."""

from .client import Client
from .errors import (
    ApusError,
    Code,
    ConnectError,
    ConnectionLost,
    DeadlineExceeded,
    ProtocolError,
    StatusError,
)
from .messages import (
    DataType,
    HealthResponse,
    ModelInfo,
    ModelState,
    ServingStatus,
    StatsResponse,
    TimeAccount,
)
from .tensors import Classification

__all__ = [
    "ApusError",
    "Classification",
    "Client",
    "Code",
    "ConnectError",
    "ConnectionLost",
    "DataType",
    "DeadlineExceeded",
    "HealthResponse",
    "ModelInfo",
    "ModelState",
    "ProtocolError",
    "ServingStatus",
    "StatsResponse",
    "StatusError",
    "TimeAccount",
]
