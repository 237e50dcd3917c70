"""A canary that does worse than the version beside it loses its share of the calls by itself."""
import json
import time

import apus
import numpy as np
import pytest

from conftest import command, make_model

ROWS = np.full((1, 64), 0.5, "f4")


def call(client, seconds, ended):
    """Calls until something has come about; the answers' versions and how many calls failed."""
    versions, failures, end = [], 0, time.monotonic() + seconds
    while not ended():
        assert time.monotonic() < end, f"it did not come about: {len(versions)} answers, {failures} failures"
        for _ in range(50):
            try:
                versions.append(client.classify("digits", ROWS).version)
            except apus.StatusError as error:
                assert error.reason == "SHAPE_MISMATCH"
                failures += 1
    return versions, failures


def last_act(repository):
    return json.loads(open(repository / ".apus/audit.log").read().splitlines()[-1])


@pytest.mark.parametrize("kind", ["errors", "latency"])
def test_a_worse_canary_loses_its_share(kind, repository, serve, tmp_path):
    server = serve(repository)
    client = apus.Client(server.address)
    if kind == "errors":
        # Another width: every call of 64 numbers fails.
        worse, bounds = make_model(tmp_path / "worse", inputs=32), ["--max-errors", "5"]
    else:
        worse, bounds = make_model(tmp_path / "worse", hidden=(3000, 3000)), ["--max-latency-ratio", "3"]
    command("publish", worse, "--name", "digits", "--keep-latest", server=server)
    command("weight", "digits@2", "20", *bounds, "--window", "20", "--min-calls", "30", server=server)
    versions, failures = call(client, 60, lambda: last_act(repository)["act"] == "return")
    if kind == "errors":
        assert failures >= 30 and set(versions) == {1}
    else:
        assert failures == 0 and set(versions) == {1, 2}
    act = last_act(repository)
    assert (act["who"], act["model"], act["version"], act["result"]) == ("server", "digits", 2, "ok")
    assert ("failed" if kind == "errors" else "99th percentile") in act["detail"]
    assert {client.classify("digits", ROWS).version for _ in range(200)} == {1}


def test_a_good_canary_keeps_its_share_and_keys_stay_on_their_side(repository, serve, tmp_path):
    server = serve(repository)
    client = apus.Client(server.address)
    command("publish", make_model(tmp_path / "good", seed=1), "--name", "digits", "--keep-latest", server=server)
    command("weight", "digits@2", "30", "--max-errors", "5", "--max-latency-ratio", "50", "--window", "1", "--min-calls", "30",
            server=server)
    end = time.monotonic() + 3
    versions = []
    while time.monotonic() < end:
        versions.append(client.classify("digits", ROWS).version)
    assert last_act(repository)["act"] == "weight"
    # Six standard deviations of a binomial distribution.
    share, deviation = versions.count(2) / len(versions), (0.3 * 0.7 / len(versions)) ** 0.5
    assert abs(share - 0.3) < 6 * deviation
