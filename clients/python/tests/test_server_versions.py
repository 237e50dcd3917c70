"""Versions of a model on the real server, where APUS_BINARY names the `apus` executable."""

import json
import os
import shutil
import subprocess
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import apus

MODELS = Path(__file__).resolve().parents[3] / "models"
DIGITS = MODELS / "repository" / "digits" / "1"
SECONDS = 60

pytestmark = pytest.mark.skipif("APUS_BINARY" not in os.environ, reason="APUS_BINARY names no apus")


@pytest.fixture
def folder(tmp_path):
    """A repository with version 1 of digits, with samples, so that there is drift to tell."""
    folder = tmp_path / "models"
    shutil.copytree(DIGITS, folder / "digits" / "1")
    expected = json.loads((MODELS / "samples" / "digits.expected.json").read_text())
    samples = {"inputs": rows().tolist(), "probabilities": expected["probabilities"]}
    (folder / "digits" / "1" / "samples.json").write_text(json.dumps(samples))
    return folder


def rows():
    return np.load(MODELS / "samples" / "digits.npy")


@pytest.fixture
def client(folder, tmp_path):
    path = tmp_path / "s"
    server = subprocess.Popen([os.environ["APUS_BINARY"], "serve", "--models", str(folder),
                               "--listen", f"unix:{path}"])
    try:
        limit = time.monotonic() + SECONDS
        while not path.exists():
            assert server.poll() is None and time.monotonic() < limit, "the server did not start"
            time.sleep(0.01)
        with apus.Client(f"unix:{path}", timeout=SECONDS) as client:
            yield client
        server.terminate()
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.wait()


def answering(client, **choice):
    return client.classify("digits", rows()[0], top=1, **choice).version


def until(condition):
    """Whether it comes true in time."""
    limit = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.001)
    return True


def test_in_and_out_of_memory(client):
    assert client.publish(str(DIGITS), "digits", source="test").model.version == 2
    done = client.unload("digits", 2)
    assert done.model.state is apus.ModelState.UNLOADED and answering(client) == 1
    with pytest.raises(apus.StatusError) as caught:
        answering(client, version=2)
    assert caught.value.reason == "MODEL_UNLOADED"
    assert client.load("digits", 2).model.state is apus.ModelState.READY
    assert answering(client, version=2) == 2
    assert client.load("digits", 2).detail == "it was loaded"


def test_changed_files_are_found(client, folder):
    assert "as they were" in client.verify("digits", 1).detail
    with open(folder / "digits" / "1" / "model.yaml", "a") as file:
        file.write("\n")
    with pytest.raises(apus.StatusError) as caught:
        client.verify("digits", 1)
    assert (caught.value.code, caught.value.reason) == (apus.Code.DATA_LOSS, "FILES_CHANGED")


def test_a_deprecated_version_says_so(client):
    assert client.deprecate("digits", 1, "use 2 before May").model.deprecated == "use 2 before May"
    with pytest.warns(apus.DeprecatedVersion, match="version 1 of the model 'digits' is deprecated: use 2 be"):
        result = client.classify("digits", rows()[0])
    assert result.deprecated == "use 2 before May"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert client.classify("digits", rows()[0]).deprecated == "use 2 before May"
        client.deprecate("digits", 1, "")
        assert client.classify("digits", rows()[0]).deprecated == ""


def test_a_route_key_stays_on_one_side_of_a_canary(client):
    client.publish(str(DIGITS), "digits", keep_latest=True)
    assert answering(client) == 1
    done = client.weight("digits", 2, 50, max_errors=50, max_latency_ratio=100, window=60, min_calls=1000)
    assert done.model.weight == 5000 and "50.0 %" in done.detail
    sides = {key: {answering(client, route_key=key) for _ in range(5)} for key in map(str, range(64))}
    assert all(len(side) == 1 for side in sides.values())
    assert set.union(*sides.values()) == {1, 2}
    many = client.classify_many("digits", [rows()[0]] * 64, top=1)
    assert {result.version for result in many} == {1, 2}
    (side,) = sides["0"]
    many = client.classify_many("digits", [rows()[0]] * 64, top=1, route_key="0")
    assert {result.version for result in many} == {side}
    assert client.weight("digits", 2, 0).model.weight == 0
    assert {answering(client, route_key=key) for key in sides} == {1}


def test_a_shadow_is_counted(client):
    client.publish(str(DIGITS), "digits", keep_latest=True)
    assert client.shadow("digits", 2).model.shadow

    def counts():
        assert answering(client) == 1
        stats = {model.version: model for model in client.stats("digits").models}
        assert stats[1].shadow is None
        return stats[2].shadow

    assert until(lambda: counts().rows_total >= 10)
    assert counts().disagreements_total == 0, "the same model agrees with itself"
    assert not client.shadow("digits", 2, on=False).model.shadow
    assert all(model.shadow is None for model in client.stats("digits").models)


def test_drift_is_told(client):
    model = client.stats("digits").models[0]
    assert model.drift.rows_total == 0 and model.drift.classes == 0 == model.drift.largest_input
    far = np.full(64, 1000, np.float32)

    def drift():
        client.classify("digits", far, top=1)
        return client.stats("digits").models[0].drift

    assert until(lambda: drift().rows_total >= 5)
    found = drift()
    assert len(found.inputs) == 64 and found.inputs[found.largest_input_index] == max(found.inputs)
    assert found.largest_input == max(found.inputs) > 0.25 and found.classes > 0.25


def test_history(client):
    client.deprecate("digits", 1, "old")
    with pytest.raises(apus.StatusError):
        client.weight("digits", 1, 5)
    client.deprecate("digits", 1, "")
    acts = client.history("digits")
    assert [(act.act, act.version, act.result) for act in acts] == [
        ("deprecate", 1, "ok"), ("weight", 1, "FAILED_PRECONDITION"), ("deprecate", 1, "ok")]
    assert [act.sequence for act in acts] == [3, 2, 1]
    assert all(act.who == f"uid:{os.getuid()}" and act.from_ == "unix" for act in acts)
    assert abs(acts[0].time_ns / 1e9 - time.time()) < SECONDS
    assert client.history(limit=1) == acts[:1] and client.history("other") == []
