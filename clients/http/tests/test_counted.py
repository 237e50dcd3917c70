"""What operators see of HTTP: its bytes and connections in the metrics, and each call, refused ones too, in the access
log."""

import json
import re

import pytest

from serving import DIGIT, Server, head, wait_until

CLASSIFY = "/v1/models/digits:classify"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TEXT = b'{"inputs": "a secret"}'


@pytest.fixture
def logged(tmp_path):
    with Server(tmp_path, variables={"APUS_LOG_ACCESS_PATH": str(tmp_path / "access")}) as server:
        server.access = tmp_path / "access"
        yield server


def lines(server):
    return [json.loads(line) for line in server.access.read_text().splitlines()]


def metric(server, name, label):
    with server.connect() as raw:
        raw.request("GET", "/metrics")
        text = raw.answer("GET").body.decode()
    found = re.search(rf"^{name}{{{label}}} (\d+)$", text, re.MULTILINE)
    return int(found.group(1)) if found else 0


def test_every_call_is_logged(logged):
    calls = [
        (CLASSIFY, DIGIT, 200, "OK", "", "digits"),
        ("/v1/models/nothing:classify", DIGIT, 404, "NOT_FOUND", "MODEL_NOT_FOUND", None),
        ("/v1/models/digits/versions/9:classify", DIGIT, 404, "NOT_FOUND", "VERSION_NOT_FOUND", None),
        (CLASSIFY, b"{", 400, "INVALID_ARGUMENT", "JSON_BROKEN", "digits"),
        (CLASSIFY, b"{}", 400, "INVALID_ARGUMENT", "INPUTS_MISSING", "digits"),
        (CLASSIFY, TEXT, 400, "INVALID_ARGUMENT", "SHAPE_MISMATCH", "digits"),
        ("/v2/models/digits/infer", b"{}", 400, "INVALID_ARGUMENT", "INPUT_UNKNOWN", "digits"),
    ]
    with logged.connect() as raw:
        for path, body, status, *_ in calls:
            raw.request("POST", path, body, traceparent=TRACE)
            assert raw.answer().status == status
    wait_until(lambda: len(lines(logged)) >= len(calls), "the calls are in the access log")
    for line, (_, body, _, code, reason, model) in zip(lines(logged), calls):
        assert (line["method"], line["code"], line["transport"]) == ("classify", code, "http"), line
        assert line.get("reason", "") == reason and line.get("model") == model, line
        assert line["trace_id"] == TRACE.split("-")[1], line
        assert line["request_bytes"] == (0 if code == "NOT_FOUND" else len(body)), line
    assert "secret" not in logged.access.read_text()


def test_refusals_are_counted_by_reason(logged):
    with logged.connect() as raw:
        for _ in range(3):
            raw.request("POST", CLASSIFY, b"{")
            assert raw.answer().status == 400
    assert metric(logged, "apus_refusals_total", 'reason="JSON_BROKEN"') == 3
    assert metric(logged, "apus_refusals_total", 'reason="OTHER"') == 0


def test_bytes_are_counted(logged):
    names = ("apus_received_bytes_total", "apus_sent_bytes_total")
    request = head("POST", CLASSIFY, DIGIT) + DIGIT
    with logged.connect() as raw:
        raw.send(request)  # what is never called has no lines in the metrics
        raw.answer()
        before = [metric(logged, name, 'transport="http"') for name in names]
        scrape = [metric(logged, name, 'transport="http"') - value for name, value in zip(names, before)]
        raw.send(request)
        answer = raw.answer()
        after = [metric(logged, name, 'transport="http"') for name in names]
    received, sent = (last - first for first, last in zip(before, after))
    assert scrape[0] > 0 and received == len(request) + 2 * scrape[0]
    # Scrapes differ by a few digits.
    assert sent - 2 * scrape[1] - len(answer.body) in range(50, 1000)
