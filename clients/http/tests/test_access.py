"""Who may do what, over HTTP: the policy and limits of RPC."""

import subprocess
import os
import threading

import numpy as np
import pytest
import requests

import apus
from serving import DIGIT, DIGITS, TEXTS, Server, is_problem, wait_until

POLICY = """\
identities:
  token:all: {models: ["*"], methods: [classify, read]}
  token:digits: {models: [digits], methods: [classify]}
  token:reader: {models: ["*"], methods: [read]}
  token:slow: {models: ["*"], methods: [classify], calls_per_second: 0.01, burst: 2}
  token:rows: {models: ["*"], methods: [classify], rows_per_second: 16}
  token:small: {models: ["*"], methods: [classify], max_body_bytes: 512}
  token:old: {models: ["*"], methods: [classify, read]}
  token:gone: {models: ["*"], methods: [classify, read]}
  uid:UID: {models: ["*"], methods: [classify, read]}
tokens:
  old: {hash: "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b", expires: 2020-01-01T00:00:00Z}
"""
CLASSIFY = "/v1/models/digits:classify"


class Guarded:
    def __init__(self, folder):
        self.file = folder / "policy.yaml"
        self.file.write_text(POLICY.replace("UID", str(os.getuid())))
        self.file.chmod(0o600)
        self.tokens = {name: self.auth("create", name) for name in
                       ("all", "digits", "reader", "slow", "rows", "small", "gone", "nameless")}
        self.tokens["old"] = "secret"
        self.server = Server(folder, ["--policy", str(self.file)], variables={"APUS_DEFAULT_MODEL": "digits"})

    def auth(self, verb, name):
        done = subprocess.run([os.environ["APUS_BINARY"], "auth", "token", verb, name, "--policy", str(self.file)],
                              capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.strip()

    def call(self, name, path=CLASSIFY, method="POST", data=DIGIT):
        headers = {"Authorization": "Bearer " + self.tokens[name]} if name else {}
        return requests.request(method, self.server.url + path, data=data, headers=headers, timeout=20)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    guarded = Guarded(tmp_path_factory.mktemp("guarded"))
    with guarded.server:
        yield guarded


ROUTES = [("GET", "/v1/models"), ("GET", "/v1/models/digits"), ("POST", CLASSIFY), ("POST", "/classify"),
          ("POST", "/v1/models/digits/versions/1:classify"), ("POST", "/v2/models/digits/infer"),
          ("POST", "/v2/models/digits/versions/1/infer"), ("GET", "/v2/models/digits"),
          ("GET", "/v2/models/digits/ready"), ("GET", "/v2/models/digits/versions/1")]


@pytest.mark.parametrize("method,path", ROUTES)
def test_without_a_token_nothing_is_told(guarded, method, path):
    answer = guarded.call(None, path, method)
    assert is_problem(answer, 401, "CREDENTIALS_REQUIRED")
    assert answer.headers["www-authenticate"] == "Bearer"
    # The same where there is no such model.
    other = guarded.call(None, path.replace("digits", "nothing"), method)
    assert (other.status_code, other.content) == (401, answer.content)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v2", "/v2/health/live", "/v2/health/ready", "/openapi.json"])
def test_health_needs_no_token(guarded, path):
    assert guarded.call(None, path, "GET", None).ok


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic YTpi", "apus_x", "Bearer apus_wrong", "Bearer secret",
                                    "Bearer " + "x" * 10_000, "Bearer a b", "", "Bearer \xff"])
def test_tokens_that_are_not_valid(guarded, header):
    answer = requests.post(guarded.server.url + CLASSIFY, data=DIGIT, headers={"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert is_problem(answer, 401, answer.json()["reason"])
    assert "apus_wrong" not in answer.text


def test_the_scheme_may_be_written_in_any_case(guarded):
    for scheme in ("Bearer", "bearer", "BEARER", "Bearer "):
        headers = {"Authorization": f"{scheme} {guarded.tokens['all']}"}
        assert requests.post(guarded.server.url + CLASSIFY, data=DIGIT, headers=headers).ok


def test_an_expired_token(guarded):
    assert is_problem(guarded.call("old"), 401, "TOKEN_EXPIRED", "expired")


def test_permission_is_by_model_and_method(guarded):
    assert guarded.call("digits").ok and guarded.call("digits", "/classify", data=b'{"text": %s}' % DIGIT[11:-1]).ok
    assert guarded.call("all", "/v1/models", "GET").ok and guarded.call("reader", "/v1/models", "GET").ok
    refused = guarded.call("digits", "/v1/models/textclassifier:classify")
    assert is_problem(refused, 403, "ACCESS_DENIED")
    # One text for a model that exists and one that does not.
    for path in ("/v1/models/nothing:classify", "/v2/models/nothing/infer", "/v2/models/textclassifier/infer",
                 "/v1/models/textclassifier/versions/9:classify"):
        assert guarded.call("digits", path).content == refused.content
    assert is_problem(guarded.call("digits", "/v1/models", "GET"), 403, "ACCESS_DENIED")
    assert is_problem(guarded.call("reader"), 403, "ACCESS_DENIED")
    assert is_problem(guarded.call("nameless"), 403, "ACCESS_DENIED")
    assert guarded.call("digits", "/v2/models/digits", "GET").ok
    for path in ("/v2/models/textclassifier", "/v2/models/textclassifier/ready", "/v1/models/textclassifier"):
        assert guarded.call("digits", path, "GET").status_code == 403
    assert is_problem(guarded.call("all", "/v1/models/nothing:classify"), 404, "MODEL_NOT_FOUND")


def test_the_right_to_classify_does_not_list(guarded):
    assert guarded.call("digits", "/v1/models/digits", "GET").status_code == 403


def test_a_refusal_comes_before_the_body(guarded):
    with guarded.server.connect() as raw:
        raw.send(b"POST /v1/models/digits:classify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        assert is_problem(raw.answer(), 401, "CREDENTIALS_REQUIRED")


def test_a_revoked_token_ends_while_the_server_runs(guarded):
    assert guarded.call("gone").ok
    guarded.auth("revoke", "gone")
    wait_until(lambda: guarded.call("gone").status_code == 401, "the token is refused")
    assert is_problem(guarded.call("gone"), 401, "TOKEN_INVALID")


def test_calls_are_limited_by_rate(guarded):
    assert [guarded.call("slow").status_code for _ in range(3)] == [200, 200, 429]
    answer = guarded.call("slow")
    assert is_problem(answer, 429, "RATE_LIMIT")
    assert 1 <= int(answer.headers["retry-after"]) <= 100


def test_rows_are_limited_by_rate(guarded):
    body = b'{"inputs": %s}' % str(np.tile(DIGITS.inputs, (40, 1)).tolist()).encode()
    assert guarded.call("rows", data=body).ok
    answer = guarded.call("rows")
    assert is_problem(answer, 429, "RATE_LIMIT")
    assert 30 <= int(answer.headers["retry-after"]) <= 40


def test_bodies_are_limited_by_caller(guarded):
    """By the bytes of the tensor, however it is written."""
    def body(rows):
        return b'{"inputs": %s}' % str(DIGITS.inputs[:rows].tolist()).encode()
    assert guarded.call("small", data=body(2)).ok
    assert is_problem(guarded.call("small", data=body(3)), 413, "BODY_LIMIT", "512")
    assert is_problem(guarded.call("small", data=b" " * (512 * 8 + 4097)), 413, "BODY_LIMIT")
    assert guarded.call("all", data=body(16)).ok


def test_http_and_rpc_share_a_callers_limits(tmp_path):
    guarded = Guarded(tmp_path)
    with guarded.server, apus.Client(guarded.server.rpc, token=guarded.tokens["slow"]) as client:
        client.classify("digits", DIGITS.inputs[0], labels=False)
        assert guarded.call("slow").ok
        assert is_problem(guarded.call("slow"), 429, "RATE_LIMIT")
        with pytest.raises(apus.ApusError):
            client.classify("digits", DIGITS.inputs[0], labels=False)


def test_refusals_are_logged_without_the_token(guarded):
    guarded.call("reader")
    wait_until(lambda: "token:reader" in guarded.server.log.read_text(), "the refusal is in the log")
    text = guarded.server.log.read_text()
    assert not any(token in text for name, token in guarded.tokens.items() if name != "old")


def test_without_a_policy_tokens_are_not_looked_at(server):
    for header in ("Bearer apus_x", "Bearer apus_y"):
        assert requests.post(server.url + CLASSIFY, data=DIGIT, headers={"Authorization": header}).ok
    assert requests.post(server.url + "/v1/models/textclassifier:classify", json={"inputs": TEXTS.inputs.tolist()}).ok


def test_calls_in_flight_are_limited(tmp_path):
    """HTTP computes a call where it reads it, so that one thread has one in flight: of many callers at once, none
    is refused."""
    guarded = Guarded(tmp_path)
    guarded.file.write_text(guarded.file.read_text().replace(
        'token:all: {models: ["*"], methods: [classify, read]}',
        'token:all: {models: ["*"], methods: [classify, read], max_in_flight: 1}'))
    with guarded.server:
        found = []
        threads = [threading.Thread(target=lambda: found.append(guarded.call("all").status_code)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [200] * 16
