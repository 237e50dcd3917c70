"""Calls over HTTP and HTTPS in the access log, beside those over RPC."""

import json

import pytest
import requests

import apus
from certificates import Authority
from serving import DIGIT, DIGITS, Server, wait_until

CLASSIFY = "/v1/models/digits:classify"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def lines(file):
    """Whole lines of calls; the last may be being written."""
    text = file.read_bytes() if file.exists() else b""
    return [json.loads(line) for line in text[:text.rfind(b"\n") + 1].splitlines() if b'"method":"classify"' in line]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_each_call_tells_by_what_it_came(tmp_path, scheme):
    authority = Authority(tmp_path, "authority")
    certificate, key = authority.sign("server", "server", "IP:127.0.0.1")
    options = ["--tls-cert", certificate, "--tls-key", key] if scheme == "https" else []
    file = tmp_path / "access"
    with Server(tmp_path, options, scheme, {"APUS_LOG_ACCESS_PATH": str(file)}) as server:
        with requests.Session() as session:
            session.trust_env, session.verify = False, authority.file
            for trace in (TRACE, "nonsense"):
                answer = session.post(server.url + CLASSIFY, data=DIGIT, headers={"traceparent": trace})
                assert answer.status_code == 200, answer.text
            body = {"inputs": [{"name": "input", "shape": [2, 64], "datatype": "FP32",
                                "data": DIGITS.inputs[:2].ravel().tolist()}]}
            assert session.post(server.url + "/v2/models/digits/infer", json=body).status_code == 200
        with apus.Client(server.rpc) as client:
            client.classify("digits", DIGITS.inputs[0])
        wait_until(lambda: len(lines(file)) == 4, "every call has its line")
        metrics = requests.get(server.url + "/metrics", verify=authority.file).text
        assert 'apus_access_log_lines_total{result="dropped"} 0' in metrics
    by_http = [line for line in lines(file) if line["transport"] == scheme]
    assert [line["rows"] for line in by_http] == [1, 1, 2]
    assert [line.get("trace_id") for line in by_http] == ["4bf92f3577b34da6a3ce929d0e0e4736", None, None]
    assert [line.get("parent_id") for line in by_http] == ["00f067aa0ba902b7", None, None]
    for line in by_http:
        assert (line["model"], line["version"], line["code"], line["level"]) == ("digits", 1, "OK", "info")
        assert line["connection"] == line["request"] == 0 and line["request_bytes"] > 64
        assert line["total_ns"] >= line["compute_ns"] > 0
    assert [line["transport"] for line in lines(file) if line not in by_http] == ["unix"]
