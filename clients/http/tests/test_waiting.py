"""Calls that take long: workers compute them, and nobody waits behind them."""

import json
import shutil
import socket
import struct
import threading
import time

import numpy as np
import pytest

import apus
from serving import DIGIT, MODELS, Server, head, is_problem, wait_until

SLOW = "/v1/models/slow:classify"
INPUTS, WIDTH, CLASSES, ROWS = 4, 2048, 10, 2048
# One thread of HTTP, and enough time to wait on any machine.
VARIABLES = {"APUS_HTTP_THREADS": "1", "APUS_LIMITS_QUEUE_MS": "20000"}
GENERATOR = np.random.default_rng(7)


def weights():
    sizes = [INPUTS, WIDTH, WIDTH, CLASSES]
    tensors = {}
    for place, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        scale = (2 / inputs) ** 0.5
        tensors[f"{place}.weight"] = (GENERATOR.standard_normal((outputs, inputs)) * scale).astype("<f4")
        tensors[f"{place}.bias"] = GENERATOR.standard_normal(outputs).astype("<f4")
    return tensors


def safetensors(tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        end = len(data) + tensor.nbytes
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(data), end]}
        data += tensor.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


WEIGHTS = weights()


def expected(rows):
    values = rows.astype(np.float64)
    for place in range(3):
        values = values @ WEIGHTS[f"{place}.weight"].T.astype(np.float64) + WEIGHTS[f"{place}.bias"]
        if place < 2:
            values = np.maximum(values, 0)
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One thread of HTTP and one worker, and a model of which a call of `ROWS` rows takes long."""
    folder = tmp_path_factory.mktemp("waiting")
    models = folder / "models"
    shutil.copytree(MODELS / "repository/digits", models / "digits")
    description = ("architecture: {type: mlp, activation: relu}\noutput: softmax\n"
                   f"input: {{kind: tensor, shape: [{INPUTS}], dtype: float32}}\n")
    # Calls of `patient` wait for others for so long.
    for name, batch in (("slow", ""), ("patient", "batch: {max: 64, max_delay_us: 3000000}\n"),
                        ("paired", "batch: {max: 16, max_delay_us: 10000000}\n")):
        (models / name / "1").mkdir(parents=True)
        (models / name / "1/model.safetensors").write_bytes(safetensors(WEIGHTS))
        (models / name / "1/model.yaml").write_text(description + batch)
    with Server(folder, ["--workers", "1"], variables=VARIABLES, models=models) as server:
        yield server


ROWS_OF_ALL = GENERATOR.standard_normal((ROWS, INPUTS)).astype(np.float32)


def body(rows, **members):
    return json.dumps({"inputs": rows.tolist(), **members}).encode()


LONG = body(ROWS_OF_ALL, top_k=1)


def test_a_worker_answers_as_the_thread_would(served):
    rows = ROWS_OF_ALL[:5]
    wanted = expected(rows)
    with served.connect() as raw:
        raw.request("POST", SLOW, body(rows, scores=True))
        results = raw.answer().json()["results"]
        raw.request("POST", SLOW, body(rows, top_k=3))
        best = raw.answer().json()["results"]
    for row in range(5):
        by_index = sorted(results[row]["classes"], key=lambda entry: entry["index"])
        assert np.abs(np.array([entry["probability"] for entry in by_index]) - wanted[row]).max() < 1e-4
        assert len(results[row]["scores"]) == CLASSES
        found = [entry["index"] for entry in best[row]["classes"]]
        assert found == list(np.argsort(-wanted[row])[:3])


def test_short_calls_and_health_do_not_wait_behind_a_long_one(served):
    with served.connect() as slow, served.connect() as quick:
        begun = time.monotonic()
        for _ in range(3):
            slow.request("POST", SLOW, LONG)
        done = []

        def read():
            for _ in range(3):
                assert slow.answer().status == 200
                done.append(time.monotonic() - begun)

        reader = threading.Thread(target=read)
        reader.start()
        quick.request("GET", "/healthz")
        assert quick.answer("GET").status == 200
        longest, count = 0.0, 0
        while reader.is_alive():
            before = time.monotonic()
            quick.request("POST", "/v1/models/digits:classify", DIGIT)
            assert quick.answer().status == 200
            quick.request("GET", "/healthz")
            assert quick.answer("GET").status == 200
            longest, count = max(longest, time.monotonic() - before), count + 1
        reader.join()
    assert len(done) == 3 and count > 3
    assert longest < done[0] / 2, "answers came while the long calls were computed"


def test_a_call_that_waits_ends_with_its_time(served):
    with served.connect() as raw:
        begun = time.monotonic()
        raw.request("POST", "/v1/models/patient:classify", body(ROWS_OF_ALL[:8], timeout_ms=300))
        assert is_problem(raw.answer(), 504, "DEADLINE_EXCEEDED")
        assert 0.25 < time.monotonic() - begun < 2
        raw.request("POST", "/v1/models/digits:classify", DIGIT)
        assert raw.answer().status == 200


def test_a_call_that_would_come_too_late_is_refused(served):
    with served.connect() as first, served.connect() as late:
        first.request("POST", SLOW, LONG)
        # Too short for what it takes, or for what goes before it: it is refused at once, or when its time is over.
        late.request("POST", SLOW, body(ROWS_OF_ALL, timeout_ms=2))
        answer = late.answer()
        assert answer.status in (429, 504), answer.body
        assert answer.json()["reason"] in ("OVERLOADED", "DEADLINE_TOO_SHORT", "DEADLINE_EXCEEDED")
        late.request("POST", "/v1/models/digits:classify", DIGIT)
        assert late.answer().status == 200
        assert first.answer().status == 200


def test_a_client_that_ended_its_sending_gets_the_answer_of_a_worker(served):
    with served.connect() as raw:
        raw.request("POST", SLOW, LONG)
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.answer().status == 200
        assert raw.is_closed()


def test_pipelined_requests_behind_a_long_call_are_answered_in_order(served):
    classify = head("POST", "/v1/models/digits:classify", DIGIT) + DIGIT
    with served.connect() as raw:
        raw.send(head("POST", SLOW, LONG) + LONG + classify + head("GET", "/healthz") + classify)
        assert len(raw.answer().json()["results"]) == ROWS
        assert len(raw.answer().json()["results"]) == 1
        assert raw.answer("GET").status == 200
        assert len(raw.answer().json()["results"]) == 1


def test_clients_that_go_leave_nothing_behind(served):
    for _ in range(10):
        raw = served.connect()
        raw.request("POST", SLOW, LONG)
        # A reset, as of a process that was killed.
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
    with served.connect() as raw:
        raw.request("POST", SLOW, LONG)
        assert raw.answer().status == 200

    def is_idle():
        with served.connect() as metrics:
            metrics.request("GET", "/metrics")
            return b"\napus_requests_in_flight 0\n" in metrics.answer("GET").body

    wait_until(is_idle, "no call is in flight")


def test_stats_and_metrics_tell_what_waits(served):
    with served.connect() as first, served.connect() as second, served.connect() as third:
        for raw in (first, second, third):
            raw.request("POST", SLOW, LONG)

        def is_told():
            server = served.stats()["server"]
            return server["queued_calls"] >= 1 and server["load"] > 0

        wait_until(is_told, "a call waits, by the counters")
        for raw in (first, second, third):
            assert raw.answer().status == 200
    wait_until(lambda: served.stats()["server"]["queued_calls"] == 0, "no call waits")
    with served.connect() as raw:
        raw.request("GET", "/metrics")
        text = raw.answer("GET").body
    assert b"\napus_queued_calls 0\n" in text and b"\napus_load 0" in text, text


def test_calls_of_http_and_rpc_are_one_batch(served):
    rows = ROWS_OF_ALL[:16]
    wanted = expected(rows)
    # A reactor with one client alone would compute more by itself.
    with served.connect() as raw, apus.Client(served.rpc) as client, apus.Client(served.rpc) as idle:
        idle.health()
        raw.request("POST", "/v1/models/paired:classify", body(rows[:8]))
        wait_until(lambda: served.stats()["server"]["queued_calls"] == 1, "the first call waits for others")
        by_rpc = client.classify("paired", rows[8:]).probabilities
        by_http = raw.answer().json()["results"]
    assert np.abs(np.asarray(by_rpc).reshape(8, CLASSES) - wanted[8:]).max() < 1e-4
    for row, result in enumerate(by_http):
        found = {entry["index"]: entry["probability"] for entry in result["classes"]}
        assert max(abs(found[index] - wanted[row][index]) for index in range(CLASSES)) < 1e-4
    paired = next(model for model in served.stats()["models"] if model["model"] == "paired")
    assert paired["batches"] == [{"rows": 16, "count": 1}], paired


def test_an_overloaded_server_says_when_to_try_again(tmp_path, served):
    folder = tmp_path
    variables = {**VARIABLES, "APUS_LIMITS_QUEUED_CALLS": "1"}
    with Server(folder, ["--workers", "1"], variables=variables, models=served.log.parent / "models") as server:
        with server.connect() as first, server.connect() as second:
            first.request("POST", SLOW, LONG)
            wait_until(lambda: waiting(server) == 1, "a call waits or is computed")
            second.request("POST", SLOW, LONG)
            answer = second.answer()
            assert is_problem(answer, 429, "QUEUE_FULL")
            assert answer.headers["retry-after"] == "1"
            assert {"reason": "QUEUE_FULL", "count": 1} in server.stats()["server"]["refusals"]
            assert first.answer().status == 200


def waiting(server):
    with server.connect() as raw:
        raw.request("GET", "/metrics")
        text = raw.answer("GET").body.decode()
    return int(text.split("\napus_requests_in_flight ")[1].split("\n")[0])


def test_a_drain_answers_what_waits(tmp_path, served):
    with Server(tmp_path, ["--workers", "1"], variables=VARIABLES,
                models=served.log.parent / "models") as server:
        with server.connect() as first, server.connect() as second:
            for raw in (first, second):
                raw.request("POST", SLOW, LONG)
            wait_until(lambda: waiting(server) == 2, "both calls wait or are computed")
            server.signal(15)
            assert first.answer().status == 200 and second.answer().status == 200
        server.ends()
