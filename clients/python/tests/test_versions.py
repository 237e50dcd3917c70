"""Which version answers a caller, and what it is told of it, against a scripted server."""

import struct
import warnings

import pytest

import apus
from apus.deprecation import REMEMBERED, Deprecations
from fake import STATS, answer, one_class, serving

KEY = b"\x5a\x08user-417"  # field 11, a text


def test_a_route_key():
    def script(peer):
        for expected in (KEY, KEY, KEY, b""):
            _, id, metadata, _ = peer.request()
            assert metadata.endswith(expected) and (expected or KEY not in metadata)
            peer.send(one_class(id, 1.0))

    with serving(script) as server, apus.Client(server.address) as client:
        client.classify("m", [1.0], top=1, route_key="user-417")
        client.classify("m", text="a", top=1, route_key="user-417")
        client.classify_many("m", [[1.0]], top=1, route_key="user-417")
        client.classify("m", [1.0], top=1)


def answering(*answers):
    """A server that answers each call with such a version and text."""
    def script(peer):
        for version, text in answers:
            _, id, _, _ = peer.request()
            peer.send(one_class(id, 1.0, version, text))
    return serving(script)


def test_a_deprecated_version_is_told_once():
    calls = [(1, b"use 2"), (1, b"use 2"), (2, b""), (1, b"use 3"), (2, b""), (1, b""), (1, b"use 3")]
    with answering(*calls) as server, apus.Client(server.address) as client:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            results = [client.classify("m", [1.0], top=1) for _ in calls]
    assert [(result.version, result.deprecated.encode()) for result in results] == calls
    assert [str(one.message) for one in told] == [
        f"version 1 of the model 'm' is deprecated: use {version}" for version in (2, 3, 3)]
    assert all(one.category is apus.DeprecatedVersion and one.filename == __file__ for one in told)


def test_the_warning_names_the_callers_line():
    def lines(call):
        with answering((1, b"old")) as server, apus.Client(server.address) as client:
            with pytest.warns(apus.DeprecatedVersion) as told:
                call(client)
        return [(one.filename, one.lineno) for one in told]

    def many(client):
        client.classify_many("m", [[1.0]], top=1)

    def text(client):
        client.classify("m", text="a", top=1)

    for call in (many, text):
        assert lines(call) == [(__file__, call.__code__.co_firstlineno + 1)]


def test_a_warning_that_is_an_error_leaves_the_connection():
    with answering((1, b"old"), (1, b"old")) as server, apus.Client(server.address) as client:
        with warnings.catch_warnings():
            warnings.simplefilter("error", apus.DeprecatedVersion)
            with pytest.raises(apus.DeprecatedVersion, match="old"):
                client.classify("m", [1.0], top=1)
            assert client.classify("m", [1.0], top=1).deprecated == "old"
    assert server.connections == 1


def test_people_see_it_who_do_not_ask_for_deprecation_warnings():
    assert issubclass(apus.DeprecatedVersion, FutureWarning)
    assert not issubclass(apus.DeprecatedVersion, DeprecationWarning)


def test_no_server_fills_the_memory():
    deprecations = Deprecations()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for version in range(3 * REMEMBERED):
            deprecations.warn("m", version, "old", 1)
    assert 0 < len(deprecations._told) <= REMEMBERED


def test_drift_and_shadow():
    def doubles(*values):
        return struct.pack(f"<{len(values)}d", *values)

    drift = (b"\x09" + doubles(0.125) + b"\x12\x10" + doubles(0.5, 0.25) + b"\x18\x0a" + b"\x21" + doubles(0.5))
    shadow = bytes.fromhex("0864 1003 1801")  # 100 rows, 3 disagreements, 1 call dropped
    one = b"\x0a\x01a\x52" + bytes([len(drift)]) + drift + b"\x5a" + bytes([len(shadow)]) + shadow
    two = b"\x0a\x01b\x5a\x00"

    def script(peer):
        _, id, _, _ = peer.request()
        models = b"".join(b"\x12" + bytes([len(model)]) + model for model in (one, two))
        peer.send(answer(STATS, id, models))

    with serving(script) as server, apus.Client(server.address) as client:
        first, second = client.stats().models
    assert first.drift == apus.Drift(0.125, [0.5, 0.25], 10, 0.5, 0)
    assert first.shadow == apus.Shadow(100, 3, 1)
    assert second.drift is None and second.shadow == apus.Shadow()
