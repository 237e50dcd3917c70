"""What callers of HTTP see of versions: which there are and where they stand, and that one is deprecated."""

import datetime
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import numpy as np
import pytest
import requests

from apus import messages, wire
from serving import DIGIT, DIGITS, MODELS, SECONDS, Versioned, wait_until

SAME = str(Versioned.FIRST)
OTHER = str(MODELS / "repository/textclassifier/1")
TEXT = json.dumps({"text": DIGITS.inputs[0].tolist()}).encode()
TENSOR = json.dumps({"inputs": [{"name": "input", "shape": [1, 64], "datatype": "FP32",
                                 "data": DIGITS.inputs[0].ravel().tolist()}]}).encode()
CALLS = [("POST", "/v1/models/digits:classify", DIGIT), ("POST", "/v1/models/digits/versions/1:classify", DIGIT),
         ("POST", "/v1/models/digits/aliases/latest:classify", DIGIT), ("POST", "/classify", TEXT),
         ("POST", "/v2/models/digits/infer", TENSOR), ("POST", "/v2/models/digits/versions/1/infer", TENSOR)]
READS = [("GET", "/v2/models/digits", None), ("GET", "/v2/models/digits/versions/1", None),
         ("GET", "/v2/models/digits/ready", None), ("GET", "/v2/models/digits/versions/1/ready", None)]


@pytest.fixture
def versioned(tmp_path):
    with Versioned(tmp_path) as server:
        yield server


def text_of(header):
    """The text of a Display String; no other byte may stand in it than RFC 9651, section 4.1.11, has."""
    inner = re.fullmatch(r'%"((?:[ !#$&-~]|%[0-9a-f]{2})*)"', header)
    assert inner, header
    return urllib.parse.unquote(inner[1], errors="strict")


def deprecation(answer):
    """Since when and why an answer says that its version is deprecated."""
    since, why = answer.headers.get("deprecation"), answer.headers.get("apus-deprecated")
    if since is not None:
        assert re.fullmatch("@[0-9]{10}", since), since
    return since and int(since[1:]), why if why is None else text_of(why)


# What there is.

def test_every_version_is_told_with_all_that_is_known(versioned):
    before = int(time.time())
    versioned.publish(SAME, "--source", 'build "4711"', "--alias", "next")
    versioned.publish(SAME)
    versioned.publish(OTHER)
    versioned.publish(SAME)
    versioned.model("weight", "digits@2", "12.5")
    versioned.model("shadow", "digits@3")
    versioned.model("unload", "digits@4")
    versioned.model("withdraw", "digits@5")
    versioned.model("deprecate", "digits@1", "--note", "use 2")
    (versioned.repository / "digits/6").mkdir()
    (versioned.repository / "digits/6/model.pth").write_bytes(b"no model")
    versioned.signal(signal.SIGHUP)
    wait_until(lambda: versioned.versions().get(6, {}).get("state") == "failed", "version 6 is refused")
    found = versioned.versions()
    assert found == versioned.versions("/v1/models")
    assert [(version, model["state"]) for version, model in found.items()] == [
        (1, "ready"), (2, "ready"), (3, "ready"), (4, "unloaded"), (5, "withdrawn"), (6, "failed")]

    one, two, three, four, five, six = found.values()
    assert one["aliases"] == ["latest"] and two["aliases"] == ["next"]
    assert [model.get("deprecated") for model in found.values()] == ["use 2"] + [None] * 5
    assert [model.get("weight") for model in found.values()] == [None, 12.5] + [None] * 4
    assert [model.get("shadow") for model in found.values()] == [None, None, True] + [None] * 3
    # Files are the same, and what they take and give; or not.
    assert re.fullmatch("sha256:[0-9a-f]{64}", one["signature"])
    assert one["signature"] == two["signature"] == three["signature"] == five["signature"] != four["signature"]
    assert one["digest"] == two["digest"] != four["digest"]
    # What was placed by hand says so by saying nothing.
    assert not {"published_by", "published_at", "source"} & (set(one) | set(six))
    for model in (two, three, four, five):
        assert model["published_by"] == f"uid:{os.getuid()}"
        assert model["published_at"].endswith("Z")
        at = datetime.datetime.fromisoformat(model["published_at"].replace("Z", "+00:00"))
        assert before <= at.timestamp() <= time.time()
    assert [model.get("source") for model in found.values()] == [None, 'build "4711"'] + [None] * 4
    assert [model.get("memory_bytes", 0) > 0 for model in found.values()] == [True] * 3 + [False] * 3
    assert six["reason"] and "signature" not in six and not any(model["reason"] for model in (one, two, three))
    assert (one["max_batch_rows"], one["parameters"] > 0, "64" in one["architecture"]) == (1024, True, True)


def test_http_says_what_the_commands_say(versioned):
    versioned.publish(SAME, "--source", "build 4711")
    versioned.model("weight", "digits@2", "7")
    versioned.model("deprecate", "digits@1", "--note", "use 2")
    listed = json.loads(versioned.model("list", "--json"))["models"]
    found = list(versioned.versions().values())
    assert len(found) == 2
    for model, right in zip(found, listed):
        nanoseconds = right.pop("published_ns")
        if nanoseconds:
            at = datetime.datetime.fromtimestamp(nanoseconds // 10 ** 9, datetime.timezone.utc)
            right["published_at"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        always = {"name", "version", "state", "reason", "format", "digest", "aliases"}
        assert {name: value for name, value in right.items() if value or name in always} == {
            name: value for name, value in model.items()
            if name not in ("signature", "architecture", "parameters", "max_batch_rows")}


def test_the_document_has_every_member_of_an_answer(versioned):
    versioned.publish(SAME, "--source", "build 4711")
    versioned.publish(SAME)
    versioned.model("weight", "digits@2", "7")
    versioned.model("shadow", "digits@3")
    versioned.model("deprecate", "digits@1", "--note", "use 2")
    schemas = versioned.call("GET", "/openapi.json").json()["components"]["schemas"]
    told = schemas["Models"]["properties"]["models"]["items"]["properties"]
    seen = set().union(*versioned.versions().values())
    assert seen <= set(told)
    # Nothing here is signed.
    assert set(told) - seen == {"signed_by"}
    answer = versioned.call("POST", "/v1/models/digits:classify", DIGIT).json()
    assert set(answer) <= set(schemas["Classified"]["properties"])


def test_triton_lists_the_versions_that_may_be_called(versioned):
    def versions(path):
        return versioned.call("GET", "/v2/models/digits" + path).json()["versions"]

    assert versions("") == ["1"]
    versioned.publish(SAME, "--alias", "second")
    versioned.publish(SAME, "--alias", "third")
    assert versions("") == ["1", "2", "3"] and versions("/versions/2") == ["2"]
    versioned.model("unload", "digits@2")
    assert versions("") == ["1", "3"]


def test_the_versions_of_each_protocol_are_told(versioned):
    told = versioned.call("GET", "/v1").json()
    version = subprocess.run([os.environ["APUS_BINARY"], "--version"], capture_output=True, text=True,
                             timeout=SECONDS, check=True).stdout.strip()
    assert told == {"name": "apus", "version": version, "protocols": {"rpc": [1], "rest": [1], "open_inference": [2]}}
    # What is told is what Hello takes, and nothing else.
    for protocol in range(0, 4):
        chosen = hello(versioned, wire.encode(messages.HelloRequest(protocol, protocol, "test/1", b"")))
        assert (chosen is not None) == (protocol in told["protocols"]["rpc"])
        assert chosen in (None, protocol)
    assert versioned.call("GET", "/v1/models").ok and versioned.call("GET", "/v2").ok


def hello(server, metadata):
    """The version that the server answers Hello with; None where it refuses."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        connection.connect(server.rpc.removeprefix("unix:"))
        connection.sendall(wire.encode_frame(wire.KIND_REQUEST, messages.Method.HELLO, 0, metadata))
        data = bytearray()
        while not (whole := wire.decode_frame(data)):
            piece = connection.recv(4096)
            assert piece, "the connection ended without an answer"
            data += piece
        frame = whole[0]
        return None if frame.flags & wire.FLAG_STATUS else wire.decode(messages.HelloResponse, frame.metadata).version


# What is deprecated.

@pytest.mark.parametrize("method,path,body", CALLS + READS, ids=[path for _, path, _ in CALLS + READS])
def test_answers_of_a_deprecated_version_say_so(versioned, method, path, body):
    def told():
        answer = versioned.call(method, path, body)
        assert answer.status_code == 200
        if path.endswith(":classify"):
            assert answer.json().get("deprecated") == deprecation(answer)[1]
        return deprecation(answer)

    assert told() == (None, None)
    before = int(time.time())
    versioned.model("deprecate", "digits@1", "--note", "use 2 before May")
    since, why = told()
    assert why == "use 2 before May" and before <= since <= time.time()
    versioned.model("deprecate", "digits@1")
    assert told() == (None, None)


def test_bytes_behind_json_say_so_too(versioned):
    versioned.model("deprecate", "digits@1", "--note", "use 2")
    head = json.dumps({"inputs": [{"name": "input", "shape": [1, 64], "datatype": "FP32",
                                   "parameters": {"binary_data_size": 256}}],
                       "parameters": {"binary_data_output": True}}).encode()
    answer = versioned.call("POST", "/v2/models/digits/infer", head + DIGITS.inputs[0].astype("<f4").tobytes(),
                            **{"Inference-Header-Content-Length": str(len(head))})
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/octet-stream"
    assert deprecation(answer)[1] == "use 2"
    length = int(answer.headers["inference-header-content-length"])
    assert np.frombuffer(answer.content[length:], "<f4").argmax() == DIGITS.probabilities[0].argmax()


def test_the_metrics_say_so(versioned):
    line = 'apus_model_deprecated{model="digits",version="1"} 1'
    assert line not in versioned.call("GET", "/metrics").text
    versioned.model("deprecate", "digits@1", "--note", "use 2")
    assert line in versioned.call("GET", "/metrics").text
    versioned.model("deprecate", "digits@1")
    assert line not in versioned.call("GET", "/metrics").text


def test_others_and_refusals_say_nothing(versioned):
    versioned.publish(SAME, "--alias", "second")
    versioned.model("deprecate", "digits@1", "--note", "use 2")
    for method, path, body in (("POST", "/v1/models/digits/versions/2:classify", DIGIT),
                               ("GET", "/v2/models/digits/versions/2", None), ("GET", "/v1/models/digits", None),
                               ("GET", "/v2", None), ("POST", "/v1/models/digits:classify", b"{")):
        answer = versioned.call(method, path, body)
        assert answer.status_code in (200, 400) and deprecation(answer) == (None, None), path


@pytest.mark.parametrize("note", [
    "a\r\nSet-Cookie: x=1\r\n\r\nHTTP/1.1 200 OK", "\n", "\t\x01\x1b[31mred\x7f", 'say "100 %", or \\',
    "für Größeres: 模型 😀", "%0d%0a", "\x85\u2028\u2029\xa0", "ü" * 128,
], ids=range(8))
def test_what_an_operator_writes_cannot_leave_its_header(versioned, note):
    versioned.model("deprecate", "digits@1", "--note=" + note)
    for method, path, body in (CALLS[0], CALLS[4], READS[0], READS[2]):
        with versioned.connect() as raw:
            raw.request(method, path, body)
            answer = raw.answer(method)
            assert answer.status == 200 and "set-cookie" not in answer.headers
            assert deprecation(answer)[1] == note
            # The connection is where it should be: a further request finds its own answer.
            raw.request("GET", "/healthz")
            assert raw.answer("GET").body == b"ok\n"
    assert versioned.versions()[1]["deprecated"] == note
    assert versioned.call(*CALLS[0]).json()["deprecated"] == note


def test_a_time_that_nobody_has_written_down_is_not_made_up(tmp_path):
    """As servers wrote it that kept no time, and with a text that none of them would have taken."""
    state = {"apus_state": 1, "highest": 1, "deprecated": {"1": "é" * 5000}}
    with Versioned(tmp_path, state) as server:
        for call in CALLS + READS:
            answer = server.call(*call)
            assert answer.status_code == 200
            assert deprecation(answer) == (None, "é" * 128)
        server.model("deprecate", "digits@1")
        server.model("deprecate", "digits@1", "--note", "use 2")
        assert time.time() - 60 < deprecation(server.call(*CALLS[0]))[0] <= time.time()


def test_another_note_and_a_restart_keep_the_time(tmp_path):
    state = {"apus_state": 1, "highest": 1, "deprecated": {"1": "old"}, "deprecated_ns": {"1": 1700000000999999999}}
    with Versioned(tmp_path, state) as server:
        assert deprecation(server.call(*CALLS[0])) == (1700000000, "old")
        server.model("deprecate", "digits@1", "--note", "very old")
        assert deprecation(server.call(*CALLS[0])) == (1700000000, "very old")
        server.drain()
        server.start()
        assert deprecation(server.call(*CALLS[0])) == (1700000000, "very old")


# A canary.

def test_a_key_stays_on_one_side_of_a_canary(versioned):
    versioned.publish(SAME)
    versioned.model("weight", "digits@2", "50")
    versioned.model("deprecate", "digits@2", "--note", "back to 1")

    def side(key):
        """The version that answers, by every form of a call; each says whether that one is deprecated."""
        answers = [versioned.call(*call, **{"Apus-Route-Key": key}) for call in (CALLS[0], CALLS[3], CALLS[4], READS[0])]
        versions = {answers[0].json()["version"], int(answers[2].json()["model_version"])}
        assert len(versions) == 1
        version = versions.pop()
        assert [deprecation(answer)[1] for answer in answers] == [{1: None, 2: "back to 1"}[version]] * len(answers)
        return version

    keys = [f"customer-{number}" for number in range(32)]
    sides = [side(key) for key in keys]
    assert set(sides) == {1, 2} and [side(key) for key in keys] == sides
    # Without a key, metadata is of the version that is no canary, and calls are dealt by chance.
    assert {deprecation(versioned.call(*READS[0]))[1] for _ in range(32)} == {None}
    assert {versioned.call(*CALLS[0]).json()["version"] for _ in range(64)} == {1, 2}


# What the document says of it.

def test_the_document_has_the_headers(server):
    paths = requests.get(server.url + "/openapi.json", timeout=SECONDS).json()["paths"]
    keyed = {path for path, methods in paths.items() for method in methods.values()
             if {"$ref": "#/components/parameters/routeKey"} in method.get("parameters", [])}
    ranked = {path for path, methods in paths.items() for method in methods.values()
              if {"$ref": "#/components/parameters/priority"} in method.get("parameters", [])}
    told = {path for path, methods in paths.items() for method in methods.values()
            if set(method["responses"]["200"].get("headers", {})) == {"Deprecation", "Apus-Deprecated"}}
    routed = {"/v1/models/{model}:classify", "/classify", "/v2/models/{model}", "/v2/models/{model}/ready",
              "/v2/models/{model}/infer"}
    assert keyed == routed
    fixed = {path.replace("{model}", "{model}/versions/{version}") for path in routed - {"/classify"}}
    assert told == routed | fixed | {"/v1/models/{model}/aliases/{alias}:classify"}
    assert ranked == {path for path, methods in paths.items() if "post" in methods}


def test_what_a_deprecated_version_answers_is_as_the_document_says(versioned):
    """schemathesis looks at headers, too, where they are sent."""
    versioned.publish(SAME, "--source", "build 4711")
    versioned.model("weight", "digits@2", "50")
    for version in "12":
        versioned.model("deprecate", "digits@" + version, "--note", 'use "3" für\nalles')
    done = subprocess.run(
        [str(Path(sys.executable).with_name("schemathesis")), "--config-file",
         str(Path(__file__).with_name("schemathesis.toml")), "run", versioned.url + "/openapi.json", "--checks", "all",
         "--max-examples", "5", "--no-color", "--seed", "1", "--include-path-regex", "models|/classify$"],
        capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout[-8000:]
