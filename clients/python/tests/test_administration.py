"""What an administrator's calls send and read, against a scripted server."""

import pytest

import apus
from fake import answer, serving, status

LOAD, UNLOAD, VERIFY, DEPRECATE, SET_TRAFFIC, HISTORY = 0x207, 0x208, 0x209, 0x20A, 0x20C, 0x20D
WITHDRAW, ROLLBACK, SET_ALIAS = 0x205, 0x206, 0x20B

# The version "d" 3, READY, and the detail "ok"
DONE = bytes.fromhex("0a07 0a0164 1003 1802 1202 6f6b")
VERSION = "0a0164 1003"

CALLS = {
    "load": (lambda client: client.load("d", 3), LOAD, VERSION),
    "unload": (lambda client: client.unload("d", 3), UNLOAD, VERSION),
    "verify": (lambda client: client.verify("d", 3), VERIFY, VERSION),
    "withdraw": (lambda client: client.withdraw("d", 3, "n", delete_files=True), WITHDRAW,
                 VERSION + "1a016e 2001"),
    "rollback": (lambda client: client.rollback("d"), ROLLBACK, "0a0164"),
    "rollback to": (lambda client: client.rollback("d", 3), ROLLBACK, VERSION),
    "deprecate": (lambda client: client.deprecate("d", 3, "use 4"), DEPRECATE, VERSION + "1a05 7573652034"),
    "deprecate no longer": (lambda client: client.deprecate("d", 3, ""), DEPRECATE, VERSION),
    "alias": (lambda client: client.alias("d", "s", 3), SET_ALIAS, "0a0164 120173 1803"),
    "alias removed": (lambda client: client.alias("d", "s", None), SET_ALIAS, "0a0164 120173"),
    "weight": (lambda client: client.weight("d", 3, 5), SET_TRAFFIC, VERSION + "18f403"),
    "weight ended": (lambda client: client.weight("d", 3, 0), SET_TRAFFIC, VERSION),
    "weight of a hundredth": (lambda client: client.weight("d", 3, 0.01), SET_TRAFFIC, VERSION + "1801"),
    # Bounds of 20 bytes: 200 of 10,000, 1.5 times, 1 s, 50 calls
    "weight with bounds": (
        lambda client: client.weight("d", 3, 100, max_errors=2, max_latency_ratio=1.5, window=1, min_calls=50),
        SET_TRAFFIC, VERSION + "18904e 2a14 08c801 11000000000000f83f 188094ebdc03 2032"),
    "weight with errors bounded": (
        lambda client: client.weight("d", 3, 29.99, max_errors=0.29), SET_TRAFFIC, VERSION + "18b717 2a02 081d"),
    "shadow": (lambda client: client.shadow("d", 3), SET_TRAFFIC, VERSION + "18904e 2001"),
    "shadow off": (lambda client: client.shadow("d", 3, on=False), SET_TRAFFIC, VERSION + "2001"),
}


@pytest.mark.parametrize("call, method, metadata", CALLS.values(), ids=CALLS.keys())
def test_an_act(call, method, metadata):
    def script(peer):
        asked, id, sent, body = peer.request()
        assert (asked, sent, body) == (method, bytes.fromhex(metadata), b"")
        peer.send(answer(method, id, DONE))

    with serving(script) as server, apus.Client(server.address) as client:
        done = call(client)
    assert (done.model.name, done.model.version, done.detail) == ("d", 3, "ok")
    assert done.model.state is apus.ModelState.READY and isinstance(done, apus.VersionResponse)


def test_loading_answers_for_each_step():
    def script(peer):
        _, id, _, _ = peer.request()
        peer.send(answer(LOAD, id, bytes.fromhex("0a07 0a0164 1003 1801 1207 6c6f6164696e67"), flags=4))
        peer.send(answer(LOAD, id, DONE))
        _, id, _, _ = peer.request()
        peer.send(answer(LOAD, id, bytes.fromhex("0a07 0a0164 1003 1801"), flags=4))
        peer.send(status(LOAD, id, 9))

    with serving(script) as server, apus.Client(server.address) as client:
        done = client.load("d", 3)
        assert (done.model.state, done.detail) == (apus.ModelState.READY, "ok")
        with pytest.raises(apus.StatusError) as caught:
            client.load("d", 3)
        assert caught.value.code is apus.Code.FAILED_PRECONDITION
    assert server.connections == 1


def test_history():
    acts = [
        "0802 10e807 1a05 7569643a30 2204 756e6978 2a07 7075626c697368 320164 3803 42016e 4a02 6f6b",
        "0801 1a06 736572766572 2206 736572766572 2a06 72657475726e 320164 3802 4a02 6f6b",
    ]
    frames = [b"\x0a" + bytes([len(bytes.fromhex(act))]) + bytes.fromhex(act) for act in acts]

    def script(peer):
        for expected in (b"", bytes.fromhex("0a0164")):
            method, id, metadata, _ = peer.request()
            assert (method, metadata) == (HISTORY, expected + b"\x10" + (b"\x64" if not expected else b"\x05"))
            peer.send(answer(HISTORY, id, frames[0], flags=4))
            peer.send(answer(HISTORY, id, frames[1]))

    with serving(script) as server, apus.Client(server.address) as client:
        client.history()
        newest, older = client.history("d", limit=5)
    assert newest == apus.Act(2, 1000, "uid:0", "unix", "publish", "d", 3, "n", "ok")
    assert (older.who, older.from_, older.act, older.version) == ("server", "server", "return", 2)


@pytest.mark.parametrize(
    "call, complaint",
    [
        (lambda client: client.load("d", 0), "0 is no version"),
        (lambda client: client.unload("d", -1), "-1 is no version"),
        (lambda client: client.withdraw("d", 1 << 64), "is no version"),
        (lambda client: client.shadow("d", 0), "0 is no version"),
        (lambda client: client.weight("d", 0, 5), "0 is no version"),
        (lambda client: client.weight("d", 1, -1), "percent is -1: it must be per cent"),
        (lambda client: client.weight("d", 1, 100.01), "percent is 100.01"),
        (lambda client: client.weight("d", 1, 0.001), "steps of 0.01"),
        (lambda client: client.weight("d", 1, float("nan")), "percent is nan"),
        (lambda client: client.weight("d", 1, 5, max_errors=101), "max_errors is 101"),
        (lambda client: client.weight("d", 1, 5, max_errors=0), "max_errors is 0, which would be no bound"),
        (lambda client: client.weight("d", 1, 5, max_latency_ratio=0), "above 0, for example 1.5"),
        (lambda client: client.weight("d", 1, 5, max_latency_ratio=float("inf")), "max_latency_ratio is inf"),
        (lambda client: client.weight("d", 1, 5, max_errors=1, window=0), "window is 0"),
        (lambda client: client.weight("d", 1, 5, max_errors=1, window=86401), "at most a day's"),
        (lambda client: client.weight("d", 1, 5, max_errors=1, min_calls=0), "min_calls is 0"),
        (lambda client: client.weight("d", 1, 5, window=60), "go with max_errors or max_latency_ratio"),
        (lambda client: client.weight("d", 1, 5, min_calls=10), "go with max_errors or max_latency_ratio"),
        (lambda client: client.history(limit=0), "limit is 0"),
        (lambda client: client.history(limit=1 << 32), "below 2"),
    ],
)
def test_what_cannot_be_meant_is_not_sent(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call(apus.Client("unix:/nonexistent"))
