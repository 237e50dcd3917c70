"""Samples of a version: what it computes is held against them, and what it is asked is compared with them."""
import json
import re
import shutil
import time

import apus
import numpy as np
import pytest

from conftest import ROOT, command, free_port
from samples import CLASSES, WIDTH, classify_over_http, inputs, make_sampled, metrics, probabilities

REVIEWS = json.loads((ROOT / "models/samples/reviews.expected.json").read_text())
DIFFERENCE = re.compile(
    r"samples, row (\d+), class (\d+): the (\w+) is ([\d.e-]+), not ([\d.e-]+); they differ by ([\d.e-]+), "
    r"the tolerance is ([\d.e-]+)")


# Published samples

@pytest.fixture
def small(tmp_path, serve):
    """A server with a version of `small` and right samples."""
    repository = tmp_path / "models"
    make_sampled(repository / "small/1", inputs(40))
    return serve(repository)


def test_a_wrong_sample_is_named_and_the_old_version_answers(small, tmp_path):
    def change(expected):
        expected[7, 2] += 0.125

    rows = inputs(40, seed=2)
    wrong = make_sampled(tmp_path / "wrong", rows, change)
    run = command("publish", wrong, "--name", "small", server=small, check=False)
    assert run.returncode == 1 and "FAILED_PRECONDITION" in run.stderr
    row, number, what, answered, expected, difference, tolerance = DIFFERENCE.search(run.stderr).groups()
    right = probabilities(rows)[7, 2]
    assert (row, number, what) == ("7", "2", "probability")
    assert abs(float(answered) - right) < 1e-6 and abs(float(expected) - right - 0.125) < 1e-6
    assert abs(float(difference) - 0.125) < 1e-6 and float(tolerance) == pytest.approx(1e-4)
    result = apus.Client(small.address).classify("small", rows[7])
    assert result.version == 1 and np.allclose(result.probabilities, probabilities(rows)[7], atol=1e-5)
    assert not (small.repository / "small/2").exists()
    assert not list((small.repository / ".apus/incoming").iterdir())


def test_the_tolerance_is_the_samples_own(small, tmp_path):
    def change(expected):
        expected[0, 0] += 0.125

    near = make_sampled(tmp_path / "near", inputs(40), change, tolerance=np.float32(0.25))
    command("publish", near, "--name", "small", server=small)
    assert apus.Client(small.address).classify("small", inputs(1)[0]).version == 2


@pytest.mark.parametrize("arrays, reason", [
    ({"inputs": np.zeros((3, WIDTH + 1), "f4"), "classes": np.zeros(3, "i8")}, "5 numbers a row but the model takes 4"),
    ({"inputs": np.zeros((3, WIDTH), "f4"), "probabilities": np.zeros((3, 2), "f4")}, "expect 2 classes but the model gives 3"),
    ({"inputs": np.zeros((3, WIDTH), "f4"), "classes": np.full(3, CLASSES)}, "class 3 is none"),
    ({"inputs": np.zeros((3, WIDTH), "f4")}, "expects nothing"),
    ({"inputs": np.zeros((3, WIDTH), "f4"), "labels": np.zeros(3, "i8")}, "an array labels is not known"),
    ({"texts": np.array(["a", "b"]), "classes": np.zeros(2, "i8")}, "put them into samples.json"),
])
def test_samples_that_do_not_fit_are_refused(small, tmp_path, arrays, reason):
    folder = make_sampled(tmp_path / "unfit", inputs(3))
    np.savez(folder / "samples.npz", **arrays)
    run = command("publish", folder, "--name", "small", server=small, check=False)
    assert run.returncode == 1 and reason in run.stderr
    assert apus.Client(small.address).classify("small", inputs(1)[0]).version == 1


def test_scores_and_classes_are_held_too(small, tmp_path):
    rows = inputs(20, seed=5)
    best = probabilities(rows).argmax(axis=1)
    right = make_sampled(tmp_path / "right", rows, classes=best)
    command("publish", right, "--name", "small", server=small)
    best[4] = (best[4] + 1) % CLASSES
    wrong = make_sampled(tmp_path / "wrong", rows, classes=best)
    run = command("publish", wrong, "--name", "small", server=small, check=False)
    answered = probabilities(rows).argmax(axis=1)[4]
    assert f"samples, row 4: the most probable class is {answered}, not {best[4]}" in run.stderr


# Texts

def sentiment(folder, change=None):
    shutil.copytree(ROOT / "models/repository/sentiment/1", folder)
    expected = [list(row) for row in REVIEWS["probabilities"]]
    if change:
        change(expected)
    (folder / "samples.json").write_text(json.dumps({"texts": REVIEWS["texts"], "probabilities": expected}))
    return folder


def test_samples_of_a_model_of_texts(tmp_path, serve):
    repository = tmp_path / "models"
    sentiment(repository / "sentiment/1")
    server = serve(repository)
    client = apus.Client(server.address)
    assert client.classify("sentiment", text=REVIEWS["texts"][0]).version == 1

    def change(expected):
        expected[123][0] = 1 - expected[123][0]

    run = command("publish", sentiment(tmp_path / "wrong", change), "--name", "sentiment", server=server, check=False)
    row, number, _, answered, expected, _, _ = DIFFERENCE.search(run.stderr).groups()
    right = REVIEWS["probabilities"][123][0]
    assert run.returncode == 1 and (row, number) == ("123", "0")
    assert abs(float(answered) - right) < 1e-4 and abs(float(expected) - (1 - right)) < 1e-6
    assert client.classify("sentiment", text=REVIEWS["texts"][0]).version == 1
    command("publish", sentiment(tmp_path / "right"), "--name", "sentiment", server=server)
    assert client.classify("sentiment", text=REVIEWS["texts"][0]).version > 1


# Drift

def stability_index(expected, actual):
    """Of two lists of counts over the same bins: Yurdakul and Naranjo, 2020, with 1/10,000 for an empty one."""
    e, a = (np.maximum(np.asarray(counts) / np.sum(counts), 1e-4) for counts in (expected, actual))
    return float(np.sum((a - e) * np.log(a / e)))


def input_index(reference, asked):
    """The largest index of all numbers of the inputs, over bins between the reference's deciles."""
    indices = []
    for column in range(reference.shape[1]):
        values = np.sort(reference[:, column])
        edges = np.unique(values[[len(values) * decile // 10 for decile in range(1, 10)]])
        bins = [np.bincount(np.searchsorted(edges, rows[:, column], side="right"), minlength=len(edges) + 1)
                for rows in (reference, asked)]
        indices.append(stability_index(*bins))
    return max(indices)


def class_index(reference, asked, classes):
    return stability_index(*(np.bincount(answers, minlength=classes) for answers in (reference, asked)))


def spaced(calls):
    """Makes calls so far apart that one row of each is looked at."""
    for call in calls:
        call()
        time.sleep(0.002)


def settled(address, model, rows):
    """The metrics once so many rows have been looked at, which happens after they were answered."""
    name = f'apus_model_drift_rows_total{{model="{model}",version="1"}}'
    end = time.monotonic() + 20
    while (values := metrics(address))[name] < rows and time.monotonic() < end:
        time.sleep(0.02)
    assert values[name] == rows
    return (values[f'apus_model_drift_classes{{model="{model}",version="1"}}'],
            values[f'apus_model_drift_largest_input{{model="{model}",version="1"}}'])


@pytest.mark.parametrize("way", ["rpc", "http"])
def test_drift_is_what_was_asked_against_the_samples(tmp_path, serve, way):
    repository = tmp_path / "models"
    reference = inputs(1000)
    make_sampled(repository / "small/1", reference)
    http = f"127.0.0.1:{free_port()}"
    server = serve(repository, "--http", http)
    client = apus.Client(server.address)

    def ask(rows):
        if way == "rpc":
            spaced(lambda row=row: client.classify("small", row) for row in rows)
        else:
            spaced(lambda row=row: classify_over_http(http, "small", row) for row in rows)

    def index(asked):
        best = [probabilities(rows).argmax(axis=1) for rows in (reference, asked)]
        return class_index(*best, CLASSES), input_index(reference, asked)

    assert settled(http, "small", 0) == (0, 0)
    same = inputs(600, seed=3)
    ask(same)
    found = settled(http, "small", 600)
    assert found == pytest.approx(index(same), abs=1e-6)
    assert max(found) < 0.1
    other = inputs(300, seed=4, mean=1.5)
    ask(other)
    found = settled(http, "small", 900)
    assert found == pytest.approx(index(np.concatenate([same, other])), abs=1e-6)
    assert found[1] > 0.25


def test_drift_of_texts_is_of_the_classes(tmp_path, serve):
    repository = tmp_path / "models"
    sentiment(repository / "sentiment/1")
    http = f"127.0.0.1:{free_port()}"
    server = serve(repository, "--http", http)
    client = apus.Client(server.address)
    best = np.argmax(REVIEWS["probabilities"], axis=1)
    bad = [text for text, number in zip(REVIEWS["texts"], best) if number == 0]
    spaced(lambda text=text: client.classify("sentiment", text=text) for text in bad)
    classes, largest = settled(http, "sentiment", len(bad))
    assert classes == pytest.approx(class_index(best, np.zeros(len(bad), int), 2), abs=1e-6) and classes > 1
    assert largest == 0


def test_without_enough_samples_there_is_no_drift(tmp_path, serve):
    repository = tmp_path / "models"
    make_sampled(repository / "few/1", inputs(9))
    make_sampled(repository / "enough/1", inputs(10))
    http = f"127.0.0.1:{free_port()}"
    serve(repository, "--http", http)
    text = "".join(name for name in metrics(http) if "drift" in name)
    assert 'model="enough"' in text and 'model="few"' not in text
