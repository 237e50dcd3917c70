"""A server that is killed at any system call of an act leaves the repository as it was before or as it is after.

strace counts the calls of each kind for itself. So an act is recorded once, and then done again as often as it made
calls: each time the server is killed at another one. APUS_LONG=1 tries every call, otherwise every fifteenth.
"""
import collections
import pathlib
import re
import shutil
import signal
import subprocess
import time

import apus
import numpy as np
import pytest
from apus.messages import ModelState

from conftest import BINARY, DIGITS, LONG, command, make_model

ROWS = np.full((1, 64), 0.5, "f4")
STRIDE = 1 if LONG else 15
THREADS = ("apus-admin", "apus-loader")


class Tracer:
    """strace, attached to threads of a server."""

    def __init__(self, server, tasks, *arguments):
        self.strace = subprocess.Popen(
            ["strace", "-qq", *arguments, *(word for task in tasks for word in ("-p", task))],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        end = time.monotonic() + 20
        while not all(self.traced(server.process.pid, task) for task in tasks):
            assert time.monotonic() < end, "strace did not come"
            time.sleep(0.001)

    @staticmethod
    def traced(process, task):
        try:
            status = pathlib.Path(f"/proc/{process}/task/{task}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            # Killed already, as the call that it was waiting in begins anew when strace comes.
            return True
        return "TracerPid:\t0\n" not in status

    def end(self):
        """Detaches; strace is killed, since it would wait for threads that wait for work."""
        self.strace.send_signal(signal.SIGKILL)
        self.strace.wait(20)
        self.strace.stderr.close()


def act(kind, server, folder):
    """One act of administration.

    It fails where the server is killed, and has an end where it is not.
    """
    arguments = {
        "publish": ("publish", folder, "--name", "digits"),
        "publish a first version": ("publish", folder, "--name", "other"),
        "publish a canary": ("publish", folder, "--name", "digits", "--keep-latest", "--alias", "canary"),
        "alias": ("alias", "digits:stable", "1"),
        "rollback": ("rollback", "digits"),
        "withdraw": ("withdraw", "digits@2", "--delete"),
    }[kind]
    return subprocess.run([BINARY, "model", *map(str, arguments), "--to", server.address],
                          capture_output=True, text=True, timeout=60)


def check(kind, repository, server, published):
    """What is there is whole, and is served."""
    client = apus.Client(server.address)
    models = {(model.name, model.version): model for model in client.models()}
    for folder in repository.glob("[a-z]*/[0-9]*"):
        name, version = folder.parent.name, int(folder.name)
        assert models[(name, version)].state != ModelState.FAILED, models[(name, version)].reason
        if version > 1 or name == "other":
            assert (folder / "manifest.json").is_file()
        files = {file.name for file in folder.iterdir()} - {"manifest.json"}
        assert files in ({"model.safetensors", "model.yaml"}, {"model.pth", "model.yaml"})
        command("verify", f"{name}@{version}", server=server)
    on_disk = {(folder.parent.name, int(folder.name)) for folder in repository.glob("[a-z]*/[0-9]*")}
    assert {key for key, model in models.items() if model.state != ModelState.WITHDRAWN} <= on_disk
    assert not list((repository / ".apus/incoming").glob("*"))
    version = client.classify("digits", ROWS).version
    # What the command said was done has been done.
    expected = {
        "publish": {3} if published else {2, 3}, "publish a first version": {2},
        "publish a canary": {2}, "alias": {2}, "rollback": {1} if published else {1, 2},
        "withdraw": {1} if published else {1, 2},
    }[kind]
    assert version in expected
    if kind == "publish a canary" and ("digits", 3) in on_disk:
        assert not published or client.classify("digits", ROWS, alias="canary").version == 3
    if kind == "alias" and published:
        assert client.classify("digits", ROWS, alias="stable").version == 1


def recorded(kind, repository, serve, folder, tmp_path):
    """The calls of an act: each as the thread that made it, its name, and how many of this name before it."""
    server = begun(repository, serve)
    names = {task: name for name in THREADS for task in server.threads(name)}
    output = tmp_path / "trace"
    tracer = Tracer(server, names, "-o", str(output))
    run = act(kind, server, folder)
    tracer.end()
    assert run.returncode == 0, run.stderr
    assert server.stop() == 0
    counts, calls = collections.Counter(), []
    for task, call in re.findall(r"^(\d+) +(\w+)\(", output.read_text(), re.M):
        if call != "restart_syscall":
            counts[task, call] += 1
            calls.append((names[task], call, counts[task, call]))
    return calls


def begun(repository, serve):
    """A server whose threads for administration are there."""
    server = serve(repository)
    command("load", "digits@1", server=server)
    return server


@pytest.mark.parametrize("kind", ["publish", "publish a first version", "publish a canary", "alias", "rollback",
                                  "withdraw"])
def test_killed_at_every_system_call(kind, serve, tmp_path):
    folder = make_model(tmp_path / "new", seed=1)
    template = tmp_path / "template"
    shutil.copytree(DIGITS, template / "digits/1")
    server = serve(template)
    command("publish", folder, "--name", "digits", server=server)
    assert server.stop() == 0
    repository = tmp_path / "models"

    def fresh():
        shutil.rmtree(repository, ignore_errors=True)
        return shutil.copytree(template, repository)

    calls = recorded(kind, fresh(), serve, folder, tmp_path)[sum(map(ord, kind)) % STRIDE::STRIDE]
    kills = 0
    for thread, call, number in calls:
        server = begun(fresh(), serve)
        tracer = Tracer(server, server.threads(thread), "-o", "/dev/null",
                        f"--inject={call}:signal=SIGKILL:when={number}")
        try:
            run = act(kind, server, folder)
        finally:
            tracer.end()
        # Where the last call is the one that answers, the act is done and the server killed all the same.
        status = server.stop()
        assert status == -signal.SIGKILL or (status == 0 and run.returncode == 0), run.stderr
        kills += status != 0
        again = serve(repository)
        check(kind, repository, again, run.returncode == 0)
        audit = subprocess.run([BINARY, "audit", "verify", str(repository)], capture_output=True, text=True)
        assert audit.returncode == 0, audit.stdout + audit.stderr
        command("publish", folder, "--name", "digits", server=again)
        assert again.stop() == 0
    print(f"{kind}: killed at {kills} of {len(calls)} system calls")
    assert kills >= 0.8 * len(calls) and kills > 0
