"""`apus model refresh`: a training command of the operator's, and what becomes of its output."""
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import apus
import numpy as np
import pytest

from conftest import BINARY, DIGITS, command, make_model, wait_for
from samples import inputs, make_sampled

ROWS = np.full((1, 64), 0.5, "f4")
# Training is done already.
COPY = f"import os, shutil; shutil.copytree({str(DIGITS)!r}, os.environ['APUS_REFRESH_OUTPUT'], dirs_exist_ok=True)"


def python(*lines):
    return [sys.executable, "-c", "\n".join(lines)]


@pytest.fixture(autouse=True)
def hangup():
    """Under nohup programs inherit that SIGHUP is ignored, and keep to it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where output folders are made; none of them may be left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    assert not list(folder.iterdir())


def words(server, *options, name="digits"):
    return [BINARY, "model", "refresh", "--name", name, "--to", server.address, *map(str, options), "--"]


def refresh(server, training, *options, name="digits", check=True, **others):
    run = subprocess.run([*words(server, *options, name=name), *training], capture_output=True, text=True,
                         timeout=120, **others)
    assert not check or run.returncode == 0, run.stderr
    return run


def answering(server):
    return apus.Client(server.address).classify("digits", ROWS).version


def is_running(process):
    """Whether it does anything still; one that nobody waited for is over."""
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_end(processes):
    wait_for(lambda: not any(map(is_running, processes)))


# What is published

def test_what_the_command_writes_is_published(repository, serve, tmp_path):
    server = serve(repository)
    training = python(
        "import json, os, stat, sys",
        "folder = os.environ['APUS_REFRESH_OUTPUT']",
        f"json.dump({{'mode': stat.S_IMODE(os.stat(folder).st_mode), 'files': os.listdir(folder), 'folder': folder,",
        "  'input': sys.stdin.read(), **{k: v for k, v in os.environ.items() if k.startswith('APUS_')}},",
        f"  open({str(tmp_path / 'seen.json')!r}, 'w'))",
        "print('epoch 1')", "print('loss 0', file=sys.stderr)", COPY)
    run = refresh(server, training, "--alias", "stable")
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert (seen["mode"], seen["files"], seen["input"]) == (0o700, [], "")
    assert seen["APUS_REFRESH_MODEL"] == "digits" and seen["APUS_REFRESH_VERSION"] == "1"
    assert seen["APUS_ADDRESS"] == server.address and os.path.isabs(seen["folder"])
    assert "epoch 1\n" in run.stderr and "loss 0\n" in run.stderr and "epoch" not in run.stdout
    assert "digits@2" in run.stdout
    assert answering(server) == 2
    assert apus.Client(server.address).classify("digits", ROWS, alias="stable").version == 2
    assert (repository / "digits/2/model.pth").read_bytes() == (DIGITS / "model.pth").read_bytes()


def test_the_history_says_by_which_command(repository, serve):
    server = serve(repository)
    training = python("# it's one", COPY)
    run = refresh(server, training, "--json")
    document = json.loads(run.stdout)["model"]
    assert (document["name"], document["version"], document["state"]) == ("digits", 2, "ready")
    assert shlex.split(document["source"]) == [word.replace("\n", " ") for word in training]
    refresh(server, training, "--source", "nightly", "--keep-latest")
    versions = json.loads(command("list", "--json", server=server).stdout)["models"]
    assert {model["version"]: model["source"] for model in versions}[3] == "nightly"
    assert answering(server) == 2


def test_a_long_command_is_cut_in_the_history(repository, serve):
    server = serve(repository)
    refresh(server, python("# " + "é" * 4000, COPY))
    assert server.stop() == 0
    server = serve(repository)
    assert answering(server) == 2


def test_a_model_may_be_new(repository, serve, tmp_path):
    server = serve(repository)
    note = tmp_path / "version"
    refresh(server, python(f"open({str(note)!r}, 'w').write(repr(__import__('os').environ['APUS_REFRESH_VERSION']))", COPY),
            name="letters")
    assert note.read_text() == "''"
    assert apus.Client(server.address).classify("letters", ROWS).version == 1


def test_what_was_written_can_be_signed(repository, serve, tmp_path, monkeypatch):
    keys = tmp_path / "keys"
    keys.mkdir()
    key = tmp_path / "release.key"
    (keys / "release.pem").write_text(command("key", "create", key).stdout)
    command("sign", repository / "digits/1", "--name", "digits", "--key", key)
    monkeypatch.setenv("APUS_SIGNATURES_KEYS", str(keys))
    monkeypatch.setenv("APUS_SIGNATURES_REQUIRED", "true")
    server = serve(repository)
    run = refresh(server, python(COPY), check=False)
    assert run.returncode == 1 and "no trusted key has signed it" in run.stderr and answering(server) == 1
    refresh(server, python(COPY), "--sign", key)
    assert answering(server) == 2
    note = tmp_path / "ran"
    run = refresh(server, python(f"open({str(note)!r}, 'w')", COPY), "--sign", tmp_path / "none.key", check=False)
    assert run.returncode == 1 and "none.key" in run.stderr and not note.exists()


def test_a_training_command_may_use_apus(repository, serve):
    server = serve(repository)
    training = python(
        "import os, subprocess",
        f"subprocess.run([{BINARY!r}, 'config', 'print'], check=True, stdout=subprocess.DEVNULL)",
        f"subprocess.run([{BINARY!r}, 'models', '--to', os.environ['APUS_ADDRESS']], check=True)", COPY)
    refresh(server, training)
    assert answering(server) == 2


# What is not

@pytest.mark.parametrize("last, reason", [
    ("raise SystemExit(3)", "the command ended with status 3; nothing is published"),
    ("os.kill(os.getpid(), 9)", "the command was ended by signal 9 (Killed); nothing is published"),
])
def test_a_command_that_fails_publishes_nothing(repository, serve, last, reason):
    server = serve(repository)
    run = refresh(server, python(COPY, last), check=False)
    assert run.returncode == 1 and run.stderr.splitlines()[-1] == f"apus: {reason}"
    assert answering(server) == 1 and not (repository / "digits/2").exists()


@pytest.mark.parametrize("line", ["pass", "import os; os.makedirs(os.environ['APUS_REFRESH_OUTPUT'] + '/digits/1')"])
def test_a_command_that_writes_nothing_publishes_nothing(repository, serve, line):
    server = serve(repository)
    run = refresh(server, python(line), check=False)
    assert run.returncode == 1 and "has no files to publish; nothing is published" in run.stderr
    assert answering(server) == 1


def test_the_server_refuses_what_is_no_model(repository, serve):
    server = serve(repository)
    run = refresh(server, python("import os", "open(os.environ['APUS_REFRESH_OUTPUT'] + '/model.pth', 'w').write('no')"),
                  check=False)
    assert run.returncode == 1 and "FAILED_PRECONDITION" in run.stderr
    assert answering(server) == 1 and not (repository / "digits/2").exists()


def test_the_server_refuses_a_model_whose_samples_say_otherwise(repository, serve, tmp_path):
    def change(expected):
        expected[2, 1] += 0.5

    make_sampled(repository / "small/1", inputs(20))
    wrong = make_sampled(tmp_path / "wrong", inputs(20), change)
    server = serve(repository)
    run = refresh(server, ["sh", "-c", f"cp {wrong}/* $APUS_REFRESH_OUTPUT"], name="small", check=False)
    assert run.returncode == 1 and "samples, row 2, class 1" in run.stderr
    assert apus.Client(server.address).classify("small", inputs(1)[0]).version == 1


def test_a_command_that_is_not_there(repository, serve):
    run = refresh(serve(repository), ["no-such-program"], check=False)
    assert run.returncode == 1 and "start no-such-program: No such file or directory" in run.stderr


def test_without_a_server_nothing_is_trained(repository, serve, tmp_path):
    server = serve(repository)
    assert server.stop() == 0
    note = tmp_path / "ran"
    run = refresh(server, python(f"open({str(note)!r}, 'w')"), check=False)
    assert run.returncode == 1 and "cannot connect" in run.stderr and not note.exists()


def test_a_server_that_ends_during_training(repository, serve):
    server = serve(repository)
    run = refresh(server, python(COPY, f"os.kill({server.process.pid}, 9)"), check=False)
    assert run.returncode == 1 and ("cannot connect" in run.stderr or "connection was lost" in run.stderr)


# How a command ends

WAITING = (
    "import os, pathlib, signal, subprocess, sys, time",
    "child = subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(15, signal.SIG_IGN); '"
    " 'signal.signal(2, signal.SIG_IGN); time.sleep(300)'])",
    "note = pathlib.Path(sys.argv[1])",
    "(note / 'new').write_text(f'{os.getpid()} {child.pid}')",
    "(note / 'new').rename(note / 'started')",
)


def start(server, training, *options, **others):
    return subprocess.Popen([*words(server, *options), *training], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, **others)


def group(folder):
    wait_for((folder / "started").exists)
    return [int(process) for process in (folder / "started").read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_passed_on_and_nothing_is_published(repository, serve, tmp_path, number):
    server = serve(repository)
    training = python(*WAITING, f"signal.signal({int(number)}, lambda *_: (note / 'told').touch() or sys.exit(0))",
                      COPY, "(note / 'ready').touch()", "time.sleep(300)")
    run = start(server, [*training, str(tmp_path)])
    processes = group(tmp_path)
    wait_for((tmp_path / "ready").exists)
    run.send_signal(number)
    output, error = run.communicate(timeout=60)
    assert run.returncode == 1 and output == ""
    assert f"signal {int(number)} " in error and "came, and the command was ended; nothing is published" in error
    assert (tmp_path / "told").exists()
    wait_for_end(processes)
    assert answering(server) == 1


def test_a_second_signal_kills(repository, serve, tmp_path):
    server = serve(repository)
    training = python(*WAITING, "signal.signal(2, lambda *_: (note / 'told').touch())", "(note / 'ready').touch()",
                      "[time.sleep(1) for _ in range(300)]")
    run = start(server, [*training, str(tmp_path)])
    processes = group(tmp_path)
    wait_for((tmp_path / "ready").exists)
    run.send_signal(signal.SIGINT)
    wait_for((tmp_path / "told").exists)
    assert run.poll() is None
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=5)
    assert run.returncode == 1
    wait_for_end(processes)


def test_it_outlives_a_terminal_as_nohup_wants(repository, serve, tmp_path):
    server = serve(repository)
    training = python(*WAITING, COPY, "[time.sleep(0.01) for _ in iter((note / 'go').exists, True)]")
    run = start(server, [*training, str(tmp_path)], preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    processes = group(tmp_path)
    run.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert run.poll() is None
    (tmp_path / "go").touch()
    _, error = run.communicate(timeout=60)
    assert run.returncode == 0, error
    # What it left running is over as well.
    wait_for_end(processes)
    assert answering(server) == 2


def test_a_command_that_takes_too_long(repository, serve, tmp_path):
    server = serve(repository)
    run = start(server, [*python(*WAITING, COPY, "time.sleep(300)"), str(tmp_path)], "--time-limit", "1.5")
    processes = group(tmp_path)
    _, error = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "longer than the 1.5 s of --time-limit; nothing is published" in error
    wait_for_end(processes)
    assert answering(server) == 1


def test_a_command_that_does_not_want_to_end_is_killed(repository, serve, tmp_path):
    server = serve(repository)
    training = python("import signal; signal.signal(15, signal.SIG_IGN)", *WAITING, "time.sleep(300)")
    begin = time.monotonic()
    run = start(server, [*training, str(tmp_path)], "--time-limit", "1")
    processes = group(tmp_path)
    run.communicate(timeout=60)
    assert run.returncode == 1 and 11 <= time.monotonic() - begin < 20
    wait_for_end(processes)


def test_ctrl_c_while_the_server_does_not_answer(repository, serve):
    server = serve(repository)
    run = start(server, python(COPY, f"os.kill({server.process.pid}, 19)"), "--timeout", "60")
    try:
        tasks = pathlib.Path(f"/proc/{run.pid}/task")
        wait_for(lambda: "apus-publish\n" in [(task / "comm").read_text() for task in tasks.iterdir()])
        time.sleep(0.2)
        run.send_signal(signal.SIGINT)
        _, error = run.communicate(timeout=5)
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert run.returncode == 1 and "while the version was sent" in error
    assert answering(server) == 1


# Drift

@pytest.fixture
def sampled(tmp_path, serve):
    """A server whose model `small` has samples around 0."""
    repository = tmp_path / "models"
    make_sampled(repository / "small/1", inputs(1000))
    make_model(repository / "bare/1", inputs=4)
    return serve(repository)


def ask(server, rows):
    client = apus.Client(server.address)
    for row in rows:
        client.classify("small", row)
        time.sleep(0.002)


def anew(tmp_path):
    folder = make_sampled(tmp_path / "trained", inputs(1000, mean=1.5))
    return ["sh", "-c", f"cp {folder}/* $APUS_REFRESH_OUTPUT"]


def version(server):
    return apus.Client(server.address).get_model("small").version


def test_it_waits_until_enough_is_known(sampled, tmp_path):
    training, options = anew(tmp_path), ("--if-drift", 0.25)
    run = refresh(sampled, training, *options, name="small")
    assert run.stdout == "small@1 is ready: not refreshed: 0 inputs were looked at, and 1000 are needed\n"
    ask(sampled, inputs(50, mean=1.5))
    assert "not refreshed" in refresh(sampled, training, *options, name="small").stdout and version(sampled) == 1
    wait_for(lambda: "not refreshed: 50 " in refresh(sampled, training, *options, name="small").stdout)
    run = refresh(sampled, training, *options, "--min-rows", 50, name="small")
    assert "small@1: the drift of number " in run.stdout and version(sampled) == 2


def test_it_trains_only_when_inputs_have_drifted(sampled, tmp_path):
    training, options = anew(tmp_path), ("--if-drift", 0.25, "--min-rows", 300, "--json")
    ask(sampled, inputs(300, seed=3))

    def told():
        return json.loads(refresh(sampled, training, *options, name="small").stdout)

    wait_for(lambda: "below 0.25" in told()["detail"])
    document = told()
    assert document["detail"].startswith("not refreshed: the drift of ") and document["model"]["version"] == 1
    assert version(sampled) == 1
    ask(sampled, inputs(300, seed=4, mean=1.5))
    wait_for(lambda: told()["model"]["version"] == 2)
    assert version(sampled) == 2
    # The version that answers is compared with its own samples.
    assert "0 inputs were looked at" in told()["detail"]
    ask(sampled, inputs(300, seed=5, mean=1.5))
    wait_for(lambda: "below 0.25" in told()["detail"])
    assert version(sampled) == 2


@pytest.mark.parametrize("name, reason", [
    ("bare", "the drift of bare@1 is not known: it has no samples to compare calls with"),
    ("nothing", "no version of nothing answers, so its drift is not known"),
])
def test_drift_that_is_not_known(sampled, tmp_path, name, reason):
    run = refresh(sampled, anew(tmp_path), "--if-drift", 0.25, name=name, check=False)
    assert run.returncode == 1 and reason in run.stderr
    names = {(model.name, model.version) for model in apus.Client(sampled.address).models()}
    assert names == {("small", 1), ("bare", 1)}
