"""The files of a version that is to be published, read piece by piece."""

from __future__ import annotations

import hashlib
import os
from typing import Iterator

from . import administration_messages as messages

LEFT_OUT = {"manifest.json", "model.plan"}  # a server makes these from the others
PIECE_BYTES = 1 << 20


def version_files(folder: str) -> list[tuple[str, messages.UploadFile]]:
    """The folder's files with their paths, by name, without hidden ones; links may not lead outside."""
    root = os.path.realpath(folder)
    found = []
    for name in sorted(os.listdir(root), key=os.fsencode):
        path = os.path.realpath(os.path.join(root, name))
        if name.startswith(".") or name in LEFT_OUT or os.path.isdir(path):
            continue
        if os.path.commonpath([root, path]) != root:
            raise ValueError(f"{name} is a link that leads outside of its folder")
        if not os.path.isfile(path):
            raise ValueError(f"{name} is not a file")
        digest, size = hashlib.sha256(), 0
        with open(path, "rb") as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
                size += len(piece)
        found.append((path, messages.UploadFile(name, size, digest.digest())))
    if not found:
        raise ValueError(f"{folder} has no files to publish")
    return found


def pieces(files: list[tuple[str, messages.UploadFile]], upload: int,
           limit: int) -> Iterator[tuple[messages.UploadRequest, bytes]]:
    """Each file's bytes in order, at most `limit` at a time; an empty file has no piece."""
    for index, (path, _) in enumerate(files):
        offset = 0
        with open(path, "rb") as file:
            while piece := file.read(min(limit, PIECE_BYTES)):
                yield messages.UploadRequest(upload, index, offset), piece
                offset += len(piece)
