"""Whose turn it is where calls wait, against a scripted server."""

import pytest

import apus
from fake import one_class, serving

FIELD = b"\x60"  # field 12, a number


def test_a_priority_is_sent():
    def script(peer):
        for expected in (FIELD + b"\x01", FIELD + b"\x02", FIELD + b"\x02", b""):
            _, id, metadata, _ = peer.request()
            assert metadata.endswith(expected) and (expected or FIELD not in metadata[-2:])
            peer.send(one_class(id, 1.0))

    with serving(script) as server, apus.Client(server.address) as client:
        client.classify("m", [1.0], top=1, priority="interactive")
        client.classify("m", text="a", top=1, priority="batch")
        client.classify_many("m", [[1.0]], top=1, priority="batch")
        client.classify("m", [1.0], top=1)


@pytest.mark.parametrize("priority", ["", "urgent", "BATCH", 2])
def test_another_priority_is_refused(priority):
    client = apus.Client("unix:/nowhere")
    with pytest.raises(ValueError, match="priority is"):
        client.classify("m", [1.0], priority=priority)
    with pytest.raises(ValueError, match="priority is"):
        client.classify_many("m", [[1.0]], priority=priority)
