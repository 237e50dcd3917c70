"""What is sent of a folder; no server is needed."""

import hashlib
import os

import pytest

from apus import administration_messages as messages, wire
from apus.administration_messages import VersionResponse
from apus.exchange import Call, Exchange
from apus.messages import Method, ModelInfo, ModelState, Status
from apus.publishing import pieces, version_files
from apus.wire import FLAG_MORE, FLAG_STATUS, KIND_ANSWER
from apus.errors import StatusError

import itertools


def test_a_folder_is_listed_and_cut(tmp_path):
    (tmp_path / "model.pt").write_bytes(bytes(range(250)))
    (tmp_path / "empty").write_bytes(b"")
    for name in [".hidden", "manifest.json", "model.plan"]:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    files = version_files(str(tmp_path))
    assert [(file.name, file.size) for _, file in files] == [("empty", 0), ("model.pt", 250)]
    assert files[1][1].sha256 == hashlib.sha256(bytes(range(250))).digest()
    sent = list(pieces(files, 7, 100))
    assert [(piece.upload, piece.file, piece.offset) for piece, _ in sent] == [(7, 1, 0), (7, 1, 100), (7, 1, 200)]
    assert b"".join(body for _, body in sent) == bytes(range(250))


def test_links_stay_inside(tmp_path):
    with pytest.raises(ValueError, match="no files"):
        version_files(str(tmp_path))
    (tmp_path / "model.pt").write_bytes(b"x")
    os.symlink(tmp_path / "model.pt", tmp_path / "inside")
    assert len(version_files(str(tmp_path))) == 2
    os.symlink("/etc/passwd", tmp_path / "outside")
    with pytest.raises(ValueError, match="outside"):
        version_files(str(tmp_path))


def test_messages_have_the_bytes_of_the_protocol():
    request = messages.BeginPublishRequest("d", 3, [messages.UploadFile("m", 2, b"\x01")], "b", ["s"], True)
    assert wire.encode(request) == bytes.fromhex("0a0164 1003 1a08 0a016d 1002 1a0101 220162 2a0173 3001")
    assert wire.encode(messages.VersionRequest("d", 3, "n", True)) == bytes.fromhex("0a0164 1003 1a016e 2001")
    assert wire.encode(messages.SetAliasRequest("d", "s", 4)) == bytes.fromhex("0a0164 120173 1804")
    info = wire.decode(ModelInfo, bytes.fromhex("1804 720163 a001f403 a80101"))
    assert (info.state, info.deprecated, info.weight, info.shadow) == (ModelState.WARMING, "c", 500, True)


def step(state, flags):
    model = ModelInfo(name="d", version=1, state=state, aliases=["latest"])
    return wire.Frame(KIND_ANSWER, Method.COMMIT_PUBLISH, 1, flags, wire.encode(VersionResponse(model, "")), b"")


def committing():
    call = Call(Method.COMMIT_PUBLISH, messages.CommitPublishRequest(7))
    exchange = Exchange([call], 10, 1, itertools.count(1))
    assert exchange.next_frame() is not None
    exchange.take(step(ModelState.WARMING, FLAG_MORE))
    return call, exchange


def test_the_last_step_is_the_answer():
    call, exchange = committing()
    exchange.take(step(ModelState.READY, 0))
    model = wire.decode(VersionResponse, bytes(call.metadata)).model
    assert exchange.done and model.state == ModelState.READY and model.aliases == ["latest"]


def test_an_error_may_follow_steps():
    call, exchange = committing()
    status = wire.encode(Status(9, "no", "NO"))
    exchange.take(wire.Frame(KIND_ANSWER, Method.COMMIT_PUBLISH, 1, FLAG_STATUS, status, b""))
    assert exchange.done and isinstance(call.error, StatusError)
