"""Every route, called as people call it."""

import json
import os
import subprocess

import numpy as np
import pytest
import requests

from serving import (DIGIT, DIGITS, TEXTS, TOLERANCE, Server, by_rpc, difference, is_problem)


@pytest.fixture(params=[DIGITS, TEXTS], ids=["digits", "textclassifier"])
def sample(request):
    return request.param


@pytest.fixture(scope="module")
def session():
    with requests.Session() as session:
        yield session


def probabilities(results):
    """In index order, as 32-bit floats."""
    return np.array([[place["probability"] for place in sorted(row["classes"], key=lambda place: place["index"])]
                     for row in results], dtype=np.float32)


def test_health_and_metadata(server, session):
    assert session.get(server.url + "/healthz").text == "ok\n"
    assert session.get(server.url + "/readyz").text == "ready\n"
    version = subprocess.run([os.environ["APUS_BINARY"], "--version"], capture_output=True, text=True,
                             timeout=20, check=True).stdout.strip()
    assert session.get(server.url + "/v2").json() == {
        "name": "apus", "version": version, "extensions": ["binary_tensor_data", "classification"]}
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/digits/ready",
                 "/v2/models/digits/versions/1/ready"):
        answer = session.get(server.url + path)
        assert (answer.status_code, answer.content) == (200, b"")
    document = session.get(server.url + "/openapi.json")
    assert document.headers["content-type"] == "application/json" and document.json()["openapi"] == "3.1.0"


def test_models_are_listed_as_the_command_lists_them(server, session):
    done = subprocess.run([os.environ["APUS_BINARY"], "models", "--to", server.rpc, "--json"],
                          capture_output=True, timeout=20, check=True)
    listed = session.get(server.url + "/v1/models").json()
    expected = json.loads(done.stdout)["models"]
    # What else is known follows.
    assert [{name: model[name] for name in right} for model, right in zip(listed["models"], expected, strict=True)
            ] == expected
    assert [model["name"] for model in listed["models"]] == ["digits", "sentiment", "textclassifier"]
    assert session.get(server.url + "/v1/models/digits").json() == {"models": [listed["models"][0]]}
    assert is_problem(session.get(server.url + "/v1/models/nothing"), 404, "MODEL_NOT_FOUND")


def test_a_priority_is_one_of_two_words(server, session):
    def call(priority):
        return session.post(server.url + "/v1/models/digits:classify", json={"inputs": [0.5] * 64},
                            headers={"Apus-Priority": priority})
    assert [call(priority).status_code for priority in ("interactive", "batch")] == [200, 200]
    for priority in ("", "urgent", "Batch", "1"):
        assert is_problem(call(priority), 400, "PRIORITY_UNKNOWN")


def test_answers_are_rpcs_own(server, session, sample):
    """The same floats, bit by bit, for a batch, each row alone, and the flat form of a row."""
    path = f"{server.url}/v1/models/{sample.model}:classify"
    answer = session.post(path, json={"inputs": sample.inputs.tolist(), "scores": True}).json()
    expected = by_rpc(server, sample)
    assert np.array_equal(probabilities(answer["results"]), expected)
    assert difference(probabilities(answer["results"]), sample.probabilities) < TOLERANCE
    scale = np.abs(sample.scores).max()
    assert difference([row["scores"] for row in answer["results"]], sample.scores) < TOLERANCE * max(1, scale)
    assert (answer["model"], answer["version"]) == (sample.model, 1)
    for result in answer["results"]:
        found = [place["probability"] for place in result["classes"]]
        assert found == sorted(found, reverse=True)
        assert all(place["label"] == sample.labels[place["index"]] for place in result["classes"])
    for row, right in zip(sample.inputs[:3], sample.probabilities):
        for inputs in (row.tolist(), row.ravel().tolist(), [row.ravel().tolist()]):
            one = session.post(path, json={"inputs": inputs}).json()
            assert len(one["results"]) == 1
            assert difference(probabilities(one["results"])[0], right) < TOLERANCE


def test_the_answer_is_the_commands(server, session, tmp_path):
    np.save(tmp_path / "rows.npy", DIGITS.inputs)
    done = subprocess.run([os.environ["APUS_BINARY"], "classify", "--to", server.rpc, "--model", "digits", "--tensor",
                           str(tmp_path / "rows.npy"), "--top", "3", "--json"], capture_output=True, timeout=20, check=True)
    expected = json.loads(done.stdout)
    found = session.post(server.url + "/v1/models/digits:classify",
                         json={"inputs": DIGITS.inputs.tolist(), "top_k": 3}).json()
    assert set(found.pop("timing_ns")) == {"total", "queue", "compute"}
    del expected["timing_ns"]
    # HTTP says what is deprecated in headers, the command in its answer.
    assert expected.pop("deprecated") is None
    # Both write floats of 32 bits, the command with nine digits.
    for answer in (expected, found):
        for row in answer["results"]:
            for place in row["classes"]:
                place["probability"] = np.float32(place["probability"])
    assert found == expected


@pytest.mark.parametrize("path", ["/v1/models/digits/versions/1:classify", "/v1/models/%64igits:classify",
                                  "/v1/models/digits/aliases/latest:classify", "/v1/models/digits:classify/"])
def test_versions_and_aliases(server, session, path):
    assert session.post(server.url + path, data=DIGIT).json()["version"] == 1


@pytest.mark.parametrize("path,reason", [
    ("/v1/models/nothing:classify", "MODEL_NOT_FOUND"), ("/v1/models/digits/versions/2:classify", "VERSION_NOT_FOUND"),
    ("/v1/models/digits/versions/0:classify", "VERSION_NOT_FOUND"),
    ("/v1/models/digits/versions/x:classify", "VERSION_NOT_FOUND"),
    ("/v1/models/digits/versions/99999999999999999999:classify", "VERSION_NOT_FOUND"),
    ("/v2/models/nothing/infer", "MODEL_NOT_FOUND"), ("/v2/models/digits/versions/7/infer", "VERSION_NOT_FOUND"),
    ("/v1/models/:classify", "MODEL_NOT_FOUND"), ("/v1/models/digits%00:classify", "MODEL_NOT_FOUND"),
    ("/v1/models/digits:explain", "METHOD_NOT_ALLOWED"), ("/nothing", "PATH_NOT_FOUND"),
    ("/v1/models/digits/aliases/best:classify", "VERSION_NOT_FOUND"), ("/v1/models/a/b:classify", "PATH_NOT_FOUND"),
    ("/v1/models/..%2fdigits:classify", "MODEL_NOT_FOUND"), ("/", "PATH_NOT_FOUND"),
])
def test_what_is_not_there(server, session, path, reason):
    answer = session.post(server.url + path, data=DIGIT)
    assert is_problem(answer, 405 if reason == "METHOD_NOT_ALLOWED" else 404, reason)


def test_top_and_scores(server, session):
    path = server.url + "/v1/models/digits:classify"
    for most in (1, 3, 10, 11, 1000):
        answer = session.post(path, json={"inputs": DIGITS.inputs.tolist(), "top_k": most}).json()
        for row, right in zip(answer["results"], DIGITS.probabilities):
            assert [place["index"] for place in row["classes"]] == list(np.argsort(-right)[:most])
            assert "scores" not in row
    answer = session.post(path, json={"inputs": DIGITS.inputs[0].tolist(), "top_k": 1, "scores": True}).json()
    assert len(answer["results"][0]["classes"]) == 1 and len(answer["results"][0]["scores"]) == 10


def test_a_call_that_is_too_late(server, session):
    path = server.url + "/v1/models/digits:classify"
    assert is_problem(session.post(path, json={"inputs": DIGITS.inputs[0].tolist(), "timeout_ms": 1e-6}), 504,
                      "DEADLINE_EXCEEDED")
    for enough in (0, 10_000, 1e300):
        body = json.dumps({"inputs": DIGITS.inputs[0].tolist(), "timeout_ms": enough})
        assert session.post(path, data=body).status_code == 200


def test_the_tutorials_client(server):
    """As the tutorial has it, but for the numbers that its model really takes."""
    response = requests.post(server.url + "/classify", json={"text": DIGITS.inputs.tolist()})
    assert difference(response.json(), DIGITS.probabilities) < TOLERANCE
    response = requests.post(server.url + "/classify", json={"text": DIGITS.inputs[0].tolist(), "more": {"x": [None]}})
    assert difference(response.json(), DIGITS.probabilities[:1]) < TOLERANCE
    assert is_problem(requests.post(server.url + "/classify", json={}), 400, "INPUTS_MISSING", "'text'")
    assert is_problem(requests.post(server.url + "/classify", json={"text": "Hello"}), 400, "SHAPE_MISMATCH", "text")


def test_the_tutorials_form_needs_to_know_the_model(tmp_path):
    with Server(tmp_path) as server:
        answer = requests.post(server.url + "/classify", json={"text": DIGITS.inputs[0].tolist()})
        assert is_problem(answer, 400, "DEFAULT_MODEL_MISSING", "there are 3 models; .*default_model")


BROKEN = [
    (b"", "JSON_BROKEN", "an object must stand here"), (b"{", "JSON_BROKEN", "a string must stand here"),
    (b"[]", "JSON_BROKEN", "an object must stand here"), (b"{}", "INPUTS_MISSING", "'inputs'"),
    (b'{"inputs": [1, 2]', "JSON_BROKEN", "at byte"), (b'{"inputs": NaN}', "JSON_BROKEN", "no JSON value"),
    (b'{"inputs": [1,]}', "JSON_BROKEN", "no JSON value"), (b'{"inputs": [01]}', "JSON_BROKEN", "begin with 0"),
    (b'{"inputs": [[1, 2], [3]]}', "JSON_BROKEN", "the rows differ in length: 2 and 1"),
    (b'{"inputs": [1, [2]]}', "JSON_BROKEN", "not nested alike"), (b'{"inputs": null}', "JSON_BROKEN", "numbers"),
    (b'{"inputs": [1e39]}', "JSON_BROKEN", "too large"), (b'{"inputs": "\xff"}', "JSON_BROKEN", "UTF-8"),
    (b'{"inputs": "\xed\xa0\x80"}', "JSON_BROKEN", "UTF-8"), (b'\xef\xbb\xbf{"inputs": [1]}', "JSON_BROKEN", "object"),
    (b'{"inputs": "\\ud800"}', "JSON_BROKEN", "surrogate"), (b'{"inputs": ' + b"[" * 100_000, "JSON_BROKEN", "nested"),
    (b'{"inputs": [1], "rows": 3}', "JSON_BROKEN", "'rows' is no member"),
    (b'{"inputs": [1], "top_k": -1}', "JSON_BROKEN", "whole number"),
    (b'{"inputs": [1], "top_k": 1.5}', "JSON_BROKEN", "whole number"),
    (b'{"inputs": [1], "scores": 1}', "JSON_BROKEN", "true or false"),
    (b'{"inputs": [1], "timeout_ms": "1"}', "JSON_BROKEN", "number"),
    (b'{"inputs": [1]} x', "JSON_BROKEN", "something follows"),
    (b'{"inputs": []}', "SHAPE_MISMATCH", r"shape \(64\).*shape \(0\)"),
    (b'{"inputs": 1}', "SHAPE_MISMATCH", r"shape \(\)"), (b'{"inputs": [1]}', "SHAPE_MISMATCH", r"shape \(1\)"),
    (b'{"inputs": "Hello"}', "SHAPE_MISMATCH", "text"), (b'{"inputs": [[[[1]]]]}', "SHAPE_MISMATCH", "shape"),
]


@pytest.mark.parametrize("body,reason,text", BROKEN, ids=range(len(BROKEN)))
def test_bodies_that_are_wrong(server, session, body, reason, text):
    for path in ("/v1/models/digits:classify", "/v1/models/digits/versions/1:classify"):
        assert is_problem(session.post(server.url + path, data=body), 400, reason, text)


def test_a_batch_that_is_too_large(server, session):
    body = {"inputs": np.zeros((1025, 100)).tolist()}
    assert is_problem(session.post(server.url + "/v1/models/textclassifier:classify", json=body), 400,
                      "BATCH_TOO_LARGE", "at most 1024 rows in a call; this one has 1025")


def test_bodies_are_bounded(tmp_path):
    """What is over 8 bytes of JSON for each byte of the tensor is refused unread; what is a longer tensor, read."""
    with Server(tmp_path, variables={"APUS_LIMITS_BODY_BYTES": "1024"}) as server:
        path = server.url + "/v1/models/digits:classify"
        rows = DIGITS.inputs[:5].tolist()
        assert requests.post(path, json={"inputs": rows[:4]}).status_code == 200
        assert is_problem(requests.post(path, json={"inputs": rows}), 413, "BODY_LIMIT", "1024")
        spaces = b" " * (8 * 1024 + 4096)
        assert is_problem(requests.post(path, data=spaces + b"{"), 413, "BODY_LIMIT")
        # Without a length, in pieces.
        assert is_problem(requests.post(path, data=iter([spaces, b"{"])), 413, "BODY_LIMIT")
        assert is_problem(requests.post(path, data=iter([b"{}"])), 400, "INPUTS_MISSING")


@pytest.mark.parametrize("coding", ["gzip", "br", "identity"])
def test_compressed_bodies_are_refused(server, session, coding):
    answer = session.post(server.url + "/v1/models/digits:classify", data=DIGIT, headers={"Content-Encoding": coding})
    assert answer.ok if coding == "identity" else is_problem(answer, 415, "CONTENT_ENCODING", "compress none")


@pytest.mark.parametrize("path,allowed", [
    ("/v1/models/digits:classify", "POST"), ("/classify", "POST"), ("/v2/models/digits/infer", "POST"),
    ("/v1/models", "GET, HEAD"), ("/v1/models/digits", "GET, HEAD"), ("/healthz", "GET, HEAD"), ("/v2", "GET, HEAD"),
    ("/v2/models/digits/versions/1/ready", "GET, HEAD"), ("/openapi.json", "GET, HEAD"),
])
def test_other_methods_are_refused(server, session, path, allowed):
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY", "PROPFIND"):
        if method in allowed.split(", "):
            continue
        answer = session.request(method, server.url + path)
        assert is_problem(answer, 405, "METHOD_NOT_ALLOWED", allowed)
        assert answer.headers["allow"] == allowed
    head = session.head(server.url + path)
    assert head.status_code == (405 if allowed == "POST" else 200) and head.content == b""
    if allowed != "POST":
        assert head.headers["content-length"] == str(len(session.get(server.url + path).content))


def test_curl(server, tmp_path):
    (tmp_path / "body").write_bytes(DIGIT)
    # Long enough that curl asks before it sends it.
    (tmp_path / "long").write_bytes(DIGIT + b" " * (2 << 20))
    for name in ("body", "long"):
        done = subprocess.run(["curl", "-sS", "--fail-with-body", "--max-time", "20", "--expect100-timeout", "15",
                               "--json", f"@{tmp_path}/{name}", server.url + "/v1/models/digits:classify"],
                              capture_output=True, timeout=30, check=True)
        assert json.loads(done.stdout)["results"][0]["classes"][0]["label"] == "7"
    for flags, path, status in (([], "/readyz", "200"), (["-I"], "/healthz", "200"), ([], "/nothing", "404"),
                                (["--json", f"@{tmp_path}/long"], "/v1/models/nothing:classify", "404"),
                                (["-X", "DELETE"], "/v2", "405")):
        done = subprocess.run(["curl", "-sS", "--max-time", "20", "-o", str(tmp_path / "out"), "-w", "%{http_code}",
                               *flags, server.url + path], capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout == status


def test_statistics_count_calls_by_http(tmp_path):
    with Server(tmp_path) as server:
        path = server.url + "/v1/models/digits:classify"
        for _ in range(5):
            assert requests.post(path, json={"inputs": DIGITS.inputs[:3].tolist()}).ok
        for _ in range(2):
            assert requests.post(path, json={"inputs": DIGITS.inputs[0].tolist(), "timeout_ms": 1e-6}).status_code == 504
        stats = server.stats(model="digits")
        digits, = stats["models"]
        assert (digits["requests_total"], digits["rows_total"]) == (7, 15), digits
        assert digits["codes"] == [{"code": 0, "count": 5}, {"code": 4, "count": 2}]
        assert digits["total"]["count"] == 5


def test_texts(server, session):
    """A model of texts takes them as they are, and answers as the command does."""
    texts = ["a lovely film, warm and funny", "dull, slow and far too long", "", "ÉTÉ 模型 😀"]
    path = server.url + "/v1/models/sentiment:classify"
    found = session.post(path, json={"inputs": texts}).json()["results"]
    assert len(found) == len(texts)
    for text, row in zip(texts, found):
        done = subprocess.run([os.environ["APUS_BINARY"], "classify", "--to", server.rpc, "--model", "sentiment",
                               "--text", text, "--json"], capture_output=True, timeout=20, check=True)
        expected = json.loads(done.stdout)["results"][0]["classes"]
        assert [place["label"] for place in row["classes"]] == [place["label"] for place in expected]
        # A batch may be computed by another kernel than a single row.
        for place, right in zip(row["classes"], expected):
            assert abs(place["probability"] - right["probability"]) < TOLERANCE
        alone = session.post(path, json={"inputs": text}).json()["results"]
        assert difference(probabilities(alone), probabilities([row])) < TOLERANCE
    assert is_problem(session.post(path, json={"inputs": ["a"] * 100_000}), 400, "BATCH_TOO_LARGE")


def test_the_tutorials_client_sends_text(tmp_path):
    with Server(tmp_path, variables={"APUS_DEFAULT_MODEL": "sentiment"}) as server:
        answer = requests.post(server.url + "/classify", json={"text": "a lovely film, warm and funny"}).json()
        assert len(answer) == 1 and len(answer[0]) == 2 and abs(sum(answer[0]) - 1) < 1e-5
