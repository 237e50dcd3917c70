"""Servers and publishers that are stopped amid an act, and two publishers at one time."""
import subprocess
import threading
import time

import apus
import numpy as np

from conftest import BINARY, DIGITS, make_model

ROWS = np.full((1, 64), 0.5, "f4")


def begin(model, server, repository, *arguments):
    """A publisher that is amid its upload."""
    run = subprocess.Popen(
        [BINARY, "model", "publish", str(model), "--name", "digits", *arguments, "--to", server.address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 30
    while not any(file.stat().st_size > 0 for file in (repository / ".apus/incoming").glob("*/*/model.safetensors")):
        assert run.poll() is None and time.monotonic() < end
        time.sleep(0.001)
    return run


def test_a_server_that_is_told_to_end_amid_a_publish(repository, serve, tmp_path):
    large = make_model(tmp_path / "large", inputs=4000, classes=4000)
    server = serve(repository)
    run = begin(large, server, repository)
    assert server.stop() == 0
    _, errors = run.communicate(timeout=60)
    assert run.returncode != 0 and "Traceback" not in errors and errors.startswith("apus: ")
    assert not list((repository / ".apus/incoming").glob("*")) and not (repository / "digits/2").exists()
    assert apus.Client(serve(repository).address).classify("digits", ROWS).version == 1


def test_two_publishers_get_versions_of_their_own(repository, serve, tmp_path):
    large = make_model(tmp_path / "large", inputs=4000, classes=4000)
    server = serve(repository)
    first = begin(large, server, repository)
    client = apus.Client(server.address)
    versions = []
    others = [threading.Thread(target=lambda: versions.append(
        apus.Client(server.address).publish(str(DIGITS), "digits").model.version)) for _ in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    output, errors = first.communicate(timeout=60)
    assert first.returncode == 0, errors
    assert sorted(versions) == [3, 4, 5, 6]
    assert client.classify("digits", ROWS).version == 6, "the highest that is ready, in whatever order they ended"
    assert client.get_model("digits", version=2).inputs[0].shape[-1] == 4000


def test_a_number_that_is_taken_is_refused_from_the_start(repository, serve, tmp_path):
    large = make_model(tmp_path / "large", inputs=4000, classes=4000)
    server = serve(repository)
    first = begin(large, server, repository, "--version", "9")
    client = apus.Client(server.address)
    for number in (1, 9):
        try:
            client.publish(str(DIGITS), "digits", version=number)
            raise AssertionError("it was published")
        except apus.StatusError as error:
            assert error.reason == "VERSION_EXISTS"
    assert first.wait(60) == 0
