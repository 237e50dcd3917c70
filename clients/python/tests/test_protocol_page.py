"""The worked example of docs/protocol.md, decoded by this client."""

import re
import struct
from pathlib import Path

import pytest

from apus import messages, wire
from apus.messages import DataType, Method
from apus.tensors import Asked, read_classification

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "protocol.md").read_text()


def example(name):
    found = re.search(rf"```{name}\n([0-9a-f\s]+)```", PAGE)
    assert found, f"docs/protocol.md has no block {name}"
    return bytes.fromhex(found[1])


def test_request():
    request = messages.ClassifyRequest(
        model="iris", inputs=[messages.Part(dtype=DataType.FLOAT32, shape=[1, 4], length=16)], top_k=1)
    body = struct.pack("<4f", 5.1, 3.5, 1.4, 0.2)
    assert example("request") == wire.encode_frame(1, Method.CLASSIFY, 1, wire.encode(request), body)


def test_answer():
    received = bytearray(example("answer"))
    frame, size = wire.decode_frame(received)
    assert size == len(received) and (frame.kind, frame.method, frame.id, frame.flags) == (2, 0x101, 1, 0)
    result = read_classification(frame.metadata, frame.body, Asked(1, True, 1, False, False))
    assert list(result.indices) == [0]
    assert result.probabilities[0] == pytest.approx(0.8, abs=0.005)
    assert result.version == 1 and result.time.batch_rows == 1


@pytest.mark.parametrize("method", list(Method))
def test_methods(method):
    number = f"{method:#06x}" if method else "0"
    assert f"| {number} | {method.name.title().replace('_', '')} |" in PAGE
