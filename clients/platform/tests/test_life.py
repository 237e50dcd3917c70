"""What callers and memory see while versions come and go."""
import json
import shutil
import subprocess
import threading
import time

import apus
import numpy as np
import pytest

from conftest import BINARY, DIGITS, LONG, ROOT, command, make_model

ROWS = np.full((1, 64), 0.5, "f4")


def test_publishes_under_load_lose_no_call(repository, serve, tmp_path):
    server = serve(repository)
    other = make_model(tmp_path / "other", seed=1)
    publishes, committed, ended = (200 if LONG else 20), [1], threading.Event()
    answers, failures = [], []

    def call():
        client = apus.Client(server.address)
        while not ended.is_set():
            newest = committed[-1]
            try:
                result = client.classify("digits", ROWS)
                answers.append((newest, result.version, result.probabilities.tobytes()))
            except Exception as error:
                failures.append(error)

    callers = [threading.Thread(target=call) for _ in range(16)]
    for caller in callers:
        caller.start()
    administrator = apus.Client(server.address)
    for index in range(publishes):
        committed.append(administrator.publish(str(other if index % 2 == 0 else DIGITS), "digits").model.version)
    ended.set()
    for caller in callers:
        caller.join()
    assert not failures and len(answers) > publishes
    # The version that answers is never older than one whose publication had ended before the call.
    assert all(version >= newest for newest, version, _ in answers)
    # Odd versions are one model, even ones the other; their kernels may round differently.
    for parity in (0, 1):
        rows = [np.frombuffer(bytes, "f4") for _, version, bytes in answers if version % 2 == parity]
        assert rows and all(np.allclose(row, rows[0], atol=1e-5) for row in rows)
    print(f"{publishes} publishes, {len(answers)} calls of 16 clients, 0 failed")


def test_memory_comes_back(repository, serve, tmp_path):
    server = serve(repository)
    command("publish", make_model(tmp_path / "large", inputs=5000, classes=5000), "--name", "large", server=server)
    command("publish", DIGITS, "--name", "large", server=server)
    after = []
    for _ in range(500 if LONG else 5):
        command("unload", "large@1", server=server)
        after.append(server.resident())
        command("load", "large@1", server=server)
    print(f"{after[0] >> 10} KiB after the first unload, at most {max(after) >> 10} KiB later")
    assert max(after) <= after[0] * 1.05 + (2 << 20)


def test_many_models_start_and_are_found(serve, tmp_path):
    folder, model = tmp_path / "many", tmp_path / "digits"
    shutil.copytree(DIGITS, model)
    count = 2000 if LONG else 300
    for index in range(count):
        version = folder / f"m{index}/1"
        version.mkdir(parents=True)
        for name in ("model.pth", "model.yaml"):
            (version / name).hardlink_to(model / name)
    server = serve(folder)
    client = apus.Client(server.address)
    assert len(client.models()) == count
    assert client.classify(f"m{count - 1}", ROWS).version == 1


def test_a_publisher_that_is_killed_leaves_nothing(repository, serve, tmp_path):
    server = serve(repository)
    large = make_model(tmp_path / "large", inputs=4000, classes=4000)
    run = subprocess.Popen([BINARY, "model", "publish", str(large), "--name", "digits", "--to", server.address],
                           stdout=subprocess.DEVNULL)
    while not list((repository / ".apus/incoming").glob("*/2/model.safetensors")):
        assert run.poll() is None
        time.sleep(0.001)
    run.kill()
    run.wait()
    assert apus.Client(server.address).classify("digits", ROWS).version == 1
    assert server.stop() == 0
    assert not list((repository / ".apus/incoming").glob("*"))
    assert not (repository / "digits/2").exists()


@pytest.mark.parametrize("source", ["x" * 1025, "two\nlines"])
def test_a_source_that_no_manifest_holds_is_refused(repository, serve, source):
    server = serve(repository)
    run = command("publish", DIGITS, "--name", "digits", "--source", source, server=server, check=False)
    assert run.returncode == 1 and "a source is one line of at most 1024 bytes" in run.stderr
    assert apus.Client(server.address).classify("digits", ROWS).version == 1


def test_files_are_signed_by_several_keys_and_served_where_one_is_trusted(repository, serve, tmp_path, monkeypatch):
    (tmp_path / "keys").mkdir()
    old, new = tmp_path / "old.key", tmp_path / "new.key"
    command("key", "create", old)
    (tmp_path / "keys/new.pem").write_text(command("key", "create", new).stdout)
    for key in (old, new, new):
        command("sign", repository / "digits/1", "--name", "digits", "--key", key)
    signatures = json.loads((repository / "digits/1/manifest.sig").read_text())["signatures"]
    assert len({entry["key"] for entry in signatures}) == len(signatures) == 2
    monkeypatch.setenv("APUS_SIGNATURES_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("APUS_SIGNATURES_REQUIRED", "true")
    server = serve(repository)
    signed = shutil.copytree(repository / "digits/1", tmp_path / "signed")
    run = command("publish", signed, "--name", "letters", server=server, check=False)
    assert run.returncode == 1 and "no trusted key has signed it" in run.stderr
    command("publish", signed, "--name", "digits", server=server)
    with open(signed / "model.yaml", "a") as file:
        file.write("# changed\n")
    run = command("publish", signed, "--name", "digits", server=server, check=False)
    assert run.returncode == 1 and "no trusted key has signed it" in run.stderr
    assert apus.Client(server.address).classify("digits", ROWS).version == 2


def test_the_command_says_what_is_deprecated(repository, serve):
    server = serve(repository)
    call = [BINARY, "classify", "--to", server.address, "--model", "digits", "--tensor",
            str(ROOT / "models/samples/digit.npy"), "--json"]
    run = subprocess.run(call, capture_output=True, text=True, timeout=60)
    assert run.stderr == "" and json.loads(run.stdout)["deprecated"] is None
    command("deprecate", "digits@1", "--note", "use 2", server=server)
    run = subprocess.run(call, capture_output=True, text=True, timeout=60)
    assert run.stderr == "apus: digits version 1 is deprecated: use 2\n"
    assert json.loads(run.stdout)["deprecated"] == "use 2"
