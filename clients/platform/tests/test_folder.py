"""Versions that are placed in the folder by hand, without a word to the server."""
import os
import shutil
import signal
import time

import apus
import numpy as np
import pytest
from apus.messages import ModelState

from conftest import DIGITS, make_model, wait_for

ROWS = np.full((1, 64), 0.5, "f4")


def state(client, version, name="digits"):
    return next((model.state for model in client.models() if (model.name, model.version) == (name, version)), None)


def test_a_copied_folder_is_served_and_one_taken_away_is_not(repository, serve):
    client = apus.Client(serve(repository).address)
    shutil.copytree(DIGITS, repository / "digits/2")
    wait_for(lambda: state(client, 2) == ModelState.READY)
    assert client.classify("digits", ROWS).version == 2
    shutil.copytree(DIGITS.parent, repository / "numbers")
    wait_for(lambda: state(client, 1, "numbers") == ModelState.READY)
    assert client.classify("numbers", ROWS).version == 1
    shutil.rmtree(repository / "digits/2")
    wait_for(lambda: state(client, 2) is None)
    assert client.classify("digits", ROWS).version == 1


def test_a_slow_copy_is_never_served_in_half(repository, serve, tmp_path):
    client = apus.Client(serve(repository).address)
    whole = (make_model(tmp_path / "new", seed=1) / "model.safetensors").read_bytes()
    folder = repository / "digits/2"
    folder.mkdir()
    # Until the server has noticed the folder, it cannot notice what is open in it.
    time.sleep(0.5)
    shutil.copy(tmp_path / "new/model.yaml", folder)
    with open(folder / "model.safetensors", "wb") as file:
        for start in range(0, len(whole), len(whole) // 3 + 1):
            file.write(whole[start:start + len(whole) // 3 + 1])
            file.flush()
            end = time.monotonic() + 1.6
            while time.monotonic() < end:
                assert state(client, 2) is None
                assert client.classify("digits", ROWS).version == 1
                time.sleep(0.05)
    wait_for(lambda: state(client, 2) is not None)
    wait_for(lambda: state(client, 2) not in (ModelState.LOADING, ModelState.WARMING))
    assert state(client, 2) == ModelState.READY


def test_a_copy_that_pauses_between_its_files_is_read_again(repository, serve, tmp_path):
    client = apus.Client(serve(repository).address)
    whole = (make_model(tmp_path / "new", seed=1) / "model.safetensors").read_bytes()
    folder = repository / "digits/2"
    folder.mkdir()
    shutil.copy(tmp_path / "new/model.yaml", folder)
    (folder / "model.safetensors").write_bytes(whole[:1000])
    wait_for(lambda: state(client, 2) == ModelState.FAILED)
    assert client.classify("digits", ROWS).version == 1
    (folder / "model.safetensors").write_bytes(whole)
    wait_for(lambda: state(client, 2) == ModelState.READY)
    assert client.classify("digits", ROWS).version == 2


def test_a_server_that_starts_amid_a_copy_reads_again(repository, serve, tmp_path):
    whole = (make_model(tmp_path / "new", seed=1) / "model.safetensors").read_bytes()
    folder = repository / "digits/2"
    folder.mkdir()
    shutil.copy(tmp_path / "new/model.yaml", folder)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(whole[:1000])
        file.flush()
        client = apus.Client(serve(repository).address)
        assert state(client, 2) == ModelState.FAILED
        file.write(whole[1000:])
    wait_for(lambda: state(client, 2) == ModelState.READY)


def test_sighup_looks_at_once(repository, serve, tmp_path):
    server = serve(repository)
    client = apus.Client(server.address)
    shutil.copytree(DIGITS, repository / "digits/2")
    start = time.monotonic()
    os.kill(server.process.pid, signal.SIGHUP)
    wait_for(lambda: state(client, 2) == ModelState.READY)
    assert time.monotonic() - start < 1, "before the files count as at rest"


def test_a_state_that_somebody_else_writes_is_followed(repository, serve, tmp_path):
    """Two servers on one folder: what one decides, the other follows."""
    shutil.copytree(DIGITS, repository / "digits/2")
    first, second = serve(repository), serve(repository)
    clients = [apus.Client(server.address) for server in (first, second)]
    clients[0].alias("digits", "stable", 1)
    assert clients[0].classify("digits", ROWS, alias="stable").version == 1
    wait_for(lambda: any("stable" in model.aliases for model in clients[1].models()))
    assert clients[1].classify("digits", ROWS, alias="stable").version == 1
    with pytest.raises(apus.StatusError, match="there are versions 1, 2, and as aliases stable, latest"):
        clients[1].classify("digits", ROWS, alias="stabel")
    clients[0].rollback("digits", 1)
    wait_for(lambda: clients[1].classify("digits", ROWS).version == 1)
