"""Client for Apus, a server of trained classifiers: numpy arrays in, classes and probabilities out."""

from .client import Client
from .errors import (
    ApusError,
    CertificateError,
    ClientCertificateError,
    Code,
    ConnectError,
    ConnectionLost,
    DeadlineExceeded,
    PermissionDenied,
    ProtocolError,
    ResourceExhausted,
    StatusError,
    TLSError,
    Unauthenticated,
    WrongName,
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
    "CertificateError",
    "Classification",
    "Client",
    "ClientCertificateError",
    "Code",
    "ConnectError",
    "ConnectionLost",
    "DataType",
    "DeadlineExceeded",
    "HealthResponse",
    "ModelInfo",
    "ModelState",
    "PermissionDenied",
    "ProtocolError",
    "ResourceExhausted",
    "ServingStatus",
    "StatsResponse",
    "StatusError",
    "TLSError",
    "TimeAccount",
    "Unauthenticated",
    "WrongName",
]
