"""Client for Apus, a server of trained classifiers: numpy arrays in, classes and probabilities out."""

from .administration_messages import Act, VersionResponse
from .client import Client
from .deprecation import DeprecatedVersion
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
    Drift,
    HealthResponse,
    ModelInfo,
    ModelState,
    ModelStats,
    ServingStatus,
    Shadow,
    StatsResponse,
    TimeAccount,
)
from .region import Region
from .tensors import Classification

__all__ = [
    "Act",
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
    "DeprecatedVersion",
    "Drift",
    "HealthResponse",
    "ModelInfo",
    "ModelState",
    "ModelStats",
    "PermissionDenied",
    "ProtocolError",
    "Region",
    "ResourceExhausted",
    "ServingStatus",
    "Shadow",
    "StatsResponse",
    "StatusError",
    "TLSError",
    "TimeAccount",
    "Unauthenticated",
    "VersionResponse",
    "WrongName",
]
