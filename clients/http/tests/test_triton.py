"""Triton's own client from PyPI, unchanged."""

import json

import numpy as np
import pytest
import requests
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from serving import DIGITS, TEXTS, TOLERANCE, by_rpc, difference


@pytest.fixture(scope="module")
def client(server):
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as client:
        yield client


def rows(array, binary=True, name="input", datatype="FP32"):
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return [tensor]


def test_health_and_metadata(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("digits") and client.is_model_ready("digits", "1")
    assert not client.is_model_ready("digits", "2") and not client.is_model_ready("nothing")
    assert client.get_server_metadata()["name"] == "apus"
    assert client.get_model_metadata("digits") == {
        "name": "digits", "versions": ["1"], "platform": "apus_pytorch",
        "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 64]}],
        "outputs": [{"name": name, "datatype": "FP32", "shape": [-1, 10]} for name in ("probabilities", "scores")]}
    assert client.get_model_metadata("digits", "1") == client.get_model_metadata("digits")


@pytest.mark.parametrize("sample", [DIGITS, TEXTS], ids=["digits", "textclassifier"])
@pytest.mark.parametrize("to_server", [True, False], ids=["bytes-in", "json-in"])
@pytest.mark.parametrize("from_server", [True, False], ids=["bytes-out", "json-out"])
def test_answers_are_rpcs_own(server, client, sample, to_server, from_server):
    outputs = [triton.InferRequestedOutput(name, binary_data=from_server) for name in ("scores", "probabilities")]
    result = client.infer(sample.model, rows(sample.inputs, to_server), outputs=outputs, request_id="id \"7\"")
    answer = result.get_response()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == (sample.model, "1", "id \"7\"")
    assert [output["name"] for output in answer["outputs"]] == ["scores", "probabilities"]
    assert np.array_equal(result.as_numpy("probabilities"), by_rpc(server, sample))
    assert difference(result.as_numpy("scores"), sample.scores) < TOLERANCE * max(1, np.abs(sample.scores).max())


def test_both_forms_in_one_answer(client):
    outputs = [triton.InferRequestedOutput("probabilities", binary_data=True),
               triton.InferRequestedOutput("scores", binary_data=False)]
    result = client.infer("digits", rows(DIGITS.inputs), outputs=outputs)
    assert difference(result.as_numpy("probabilities"), DIGITS.probabilities) < TOLERANCE
    assert result.as_numpy("scores").shape == DIGITS.scores.shape


def test_without_outputs_there_are_probabilities(client):
    """The client then asks for bytes by `binary_data_output`."""
    result = client.infer("digits", rows(DIGITS.inputs), model_version="1")
    assert [output["name"] for output in result.get_response()["outputs"]] == ["probabilities"]
    assert difference(result.as_numpy("probabilities"), DIGITS.probabilities) < TOLERANCE


def test_a_flat_row_is_one_row(client):
    result = client.infer("digits", rows(DIGITS.inputs.reshape(-1, 64)))
    assert difference(result.as_numpy("probabilities"), DIGITS.probabilities) < TOLERANCE
    result = client.infer("digits", rows(DIGITS.inputs[0]))
    assert difference(result.as_numpy("probabilities"), DIGITS.probabilities[:1]) < TOLERANCE


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("most", [1, 3, 50])
def test_classification(client, binary, most):
    output = triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=most)
    found = client.infer("digits", rows(DIGITS.inputs), outputs=[output]).as_numpy("probabilities")
    assert found.shape == (len(DIGITS.inputs), min(most, 10))
    for texts, right in zip(found, DIGITS.probabilities):
        for text, index in zip(texts, np.argsort(-right)):
            value, place, label = (text.decode() if isinstance(text, bytes) else text).split(":")
            assert (int(place), label) == (index, DIGITS.labels[index])
            assert abs(float(value) - right[index]) < TOLERANCE


def test_asynchronous_calls(client):
    calls = [client.async_infer("digits", rows(DIGITS.inputs[index:index + 1])) for index in range(len(DIGITS.inputs))]
    for call, right in zip(calls, DIGITS.probabilities):
        assert difference(call.get_result().as_numpy("probabilities")[0], right) < TOLERANCE


def test_an_empty_batch_is_refused(client):
    with pytest.raises(InferenceServerException, match=r"shape \(0, 64\)"):
        client.infer("digits", rows(np.zeros((0, 64), np.float32)))


@pytest.mark.parametrize("inputs,model,text", [
    (rows(DIGITS.inputs, name="image"), "digits", "takes one input, named 'input'"),
    (rows(DIGITS.inputs) * 2, "digits", "takes one input, named 'input'"), ([], "digits", "takes one input"),
    (rows(DIGITS.inputs[:, :7]), "digits", r"shape \(64\).*shape \(16, 7\)"),
    (rows(DIGITS.inputs[:, :7], binary=False), "digits", r"shape \(64\).*shape \(16, 7\)"),
    (rows(DIGITS.inputs.astype(np.float64), datatype="FP64"), "digits", "must be FP32, not 'FP64'"),
    (rows(DIGITS.inputs), "nothing", "no model 'nothing'"),
], ids=["name", "two", "none", "shape", "shape-json", "datatype", "model"])
def test_refusals_hold_our_text(client, inputs, model, text):
    with pytest.raises(InferenceServerException, match=text):
        client.infer(model, inputs)


def test_an_unknown_output_is_refused(client):
    with pytest.raises(InferenceServerException, match="no output 'logits'; probabilities and scores are there"):
        client.infer("digits", rows(DIGITS.inputs), outputs=[triton.InferRequestedOutput("logits")])


def test_a_call_that_is_too_late(client):
    assert client.infer("digits", rows(DIGITS.inputs), timeout=20_000_000)
    # A microsecond has passed before the body is read.
    with pytest.raises(InferenceServerException, match="time was over"):
        client.infer("digits", rows(DIGITS.inputs), timeout=1)


def test_parameters_that_are_not_known_are_ignored(client):
    result = client.infer("digits", rows(DIGITS.inputs), parameters={"colour": "blue"}, priority=3, sequence_id=9,
                          sequence_start=True)
    assert difference(result.as_numpy("probabilities"), DIGITS.probabilities) < TOLERANCE


def test_compressed_requests_are_refused(client):
    with pytest.raises(InferenceServerException, match="compress none"):
        client.infer("digits", rows(DIGITS.inputs), request_compression_algorithm="gzip")


@pytest.mark.parametrize("length", ["-1", "x", "100000", "99999999999999999999"])
def test_a_header_length_that_is_wrong(server, length):
    answer = requests.post(server.url + "/v2/models/digits/infer", data=b"{}",
                           headers={"Inference-Header-Content-Length": length})
    assert answer.status_code == 400 and answer.json()["reason"] == "HEADER_LENGTH"


@pytest.mark.parametrize("size,bytes", [(256, 255), (256, 257), (0, 0), (255, 255), (1 << 53, 256)])
def test_bytes_that_do_not_fit(server, size, bytes):
    header = (b'{"inputs": [{"name": "input", "shape": [1, 64], "datatype": "FP32", '
              b'"parameters": {"binary_data_size": %d}}]}' % size)
    answer = requests.post(server.url + "/v2/models/digits/infer", data=header + b"\0" * bytes,
                           headers={"Inference-Header-Content-Length": str(len(header))})
    assert answer.status_code == 400 and answer.json()["reason"] == "TENSOR_MISMATCH"


# Texts.

FILMS = ["a lovely film, warm and funny", "dull, slow and far too long", "", "ÉTÉ 模型 😀", "a\0b"]


def texts(values, binary=True, name="text", shape=None):
    array = np.array([value.encode() if isinstance(value, str) else value for value in values], dtype=np.object_)
    return rows(array.reshape(shape or (-1,)), binary, name, "BYTES")


def test_a_model_of_texts_says_that_it_takes_them(client):
    assert client.get_model_metadata("sentiment")["inputs"] == [
        {"name": "input", "datatype": "FP32", "shape": [-1, 1024]}, {"name": "text", "datatype": "BYTES", "shape": [-1]}]


@pytest.mark.parametrize("name", ["text", "input"])
@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "json"])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)], ids=["n", "n-1"])
def test_texts_are_answered_as_classify_does(server, client, name, binary, shape):
    found = client.infer("sentiment", texts(FILMS, binary, name, shape)).as_numpy("probabilities")
    answer = requests.post(server.url + "/v1/models/sentiment:classify", json={"inputs": FILMS}).json()["results"]
    expected = [[place["probability"] for place in sorted(row["classes"], key=lambda place: place["index"])]
                for row in answer]
    assert np.array_equal(found, np.array(expected, dtype=np.float32))
    assert len(np.unique(found, axis=0)) >= 4, "texts differ in their answers"


def test_one_text_is_one_row(client):
    together = client.infer("sentiment", texts(FILMS[:1])).as_numpy("probabilities")
    assert together.shape == (1, 2)
    output = triton.InferRequestedOutput("probabilities", class_count=1)
    best = client.infer("sentiment", texts(FILMS[:1]), outputs=[output]).as_numpy("probabilities")
    assert best[0][0].decode().endswith(":1:positive")


def test_a_model_of_texts_still_takes_numbers(client):
    found = client.infer("sentiment", rows(np.zeros((2, 1024), np.float32))).as_numpy("probabilities")
    empty = client.infer("sentiment", texts([""])).as_numpy("probabilities")
    assert difference(found, np.repeat(empty, 2, axis=0)) < TOLERANCE


@pytest.mark.parametrize("inputs,model,text", [
    (texts(FILMS, name="input"), "digits", "'input' must be FP32, not 'BYTES'"),
    (texts(FILMS), "digits", "takes one input, named 'input'"),
    (texts(FILMS) + rows(np.zeros((1, 1024), np.float32)), "sentiment", "one input, 'input' of FP32 or 'text' of BYTES"),
    (rows(np.zeros((1, 1024), np.float32), name="text"), "sentiment", "'text' must be BYTES, not 'FP32'"),
    (texts([b"good", b"\xff"]), "sentiment", "text 2 of 'text' is not UTF-8"),
    (texts(FILMS[:4], shape=(2, 2)), "sentiment", r"that of 'text' is \(2, 2\)"),
    (texts(FILMS[:4], shape=(1, 4), binary=False), "sentiment", r"that of 'text' is \(1, 4\)"),
    (texts(["a"] * 2000), "sentiment", "1024"),
], ids=["tensors", "tensors-text", "both", "datatype", "utf8", "square", "row", "many"])
def test_texts_that_are_refused(client, inputs, model, text):
    with pytest.raises(InferenceServerException, match=text):
        client.infer(model, inputs)


@pytest.mark.parametrize("shape,size,body", [
    ([1], 5, b"\2\0\0\0a"), ([1], 5, b"\xff\xff\xff\xffa"), ([1], 6, b"\1\0\0\0a"), ([1], 5, b"\1\0\0\0ab"),
    ([2], 5, b"\1\0\0\0a"), ([1], 3, b"\0\0\0"), ([0], 0, b""), ([1 << 40], 5, b"\1\0\0\0a"),
])
def test_lengths_of_texts_that_lie(server, shape, size, body):
    header = json.dumps({"inputs": [{"name": "text", "shape": shape, "datatype": "BYTES",
                                     "parameters": {"binary_data_size": size}}]}).encode()
    answer = requests.post(server.url + "/v2/models/sentiment/infer", data=header + body,
                           headers={"Inference-Header-Content-Length": str(len(header))})
    assert answer.status_code == 400 and answer.json()["reason"] == "TENSOR_MISMATCH"
