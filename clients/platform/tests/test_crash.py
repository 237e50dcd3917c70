"""SIGKILL at each system call of an act: the repository is whole, the server starts, and either nothing or all of the act
is done."""
import subprocess
import time

import apus
import numpy as np
import pytest

from conftest import DIGITS, LONG, Server, command

ROWS = np.full((1, 64), 0.5, "f4")


def killed_at(server, call, *arguments):
    """Runs a command while the administration's threads are killed at their system call number `call`.

    Returns whether the server lived."""
    threads = server.threads("apus-admin", "apus-loader")
    assert len(threads) == 2
    attach = [part for thread in threads for part in ("-p", thread)]
    tracer = subprocess.Popen(
        ["strace", "-qq", "-o", "/dev/null", "-e", f"inject=all:signal=SIGKILL:when={call}", *attach],
        stderr=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while not all(traced(server, thread) for thread in threads):
        assert time.monotonic() < end and tracer.poll() is None, "strace could not attach"
        time.sleep(0.005)
    run = command(*arguments, server=server, check=False)
    lived = run.returncode == 0 and server.process.poll() is None
    if lived:
        tracer.terminate()
    else:
        server.process.wait(20)
    tracer.wait(20)
    return lived


def traced(server, thread):
    text = open(f"/proc/{server.process.pid}/task/{thread}/status").read()
    return "TracerPid:\t0\n" not in text


def check_whole(repository, versions):
    """The folder holds whole versions alone, and one of `versions` answers."""
    server = Server(repository)
    try:
        client = apus.Client(server.address)
        states = {model.state.name if hasattr(model.state, "name") else str(model.state) for model in client.models()}
        assert not any("FAILED" in state.upper() for state in states), states
        assert client.classify("digits", ROWS).version in versions
        listing = {model.version for model in client.models() if model.name == "digits"}
        folders = {int(path.name) for path in (repository / "digits").iterdir() if path.name.isdigit()}
        assert listing == folders
        assert not list((repository / ".apus").glob("incoming/*"))
        for folder in (repository / "digits").iterdir():
            if folder.is_dir():
                assert {"model.pth", "model.yaml"} <= {path.name for path in folder.iterdir()}
        client.close()
        return client and server
    except BaseException:
        server.stop(kill=True)
        raise


@pytest.mark.parametrize("act", ["publish", "publish new", "alias", "rollback", "withdraw"])
def test_a_crash_at_any_system_call_leaves_the_old_or_the_new(repository, act):
    server = Server(repository)
    command("publish", DIGITS, "--name", "digits", server=server)
    call, lived, tried = 1, False, 0
    while not lived:
        command("history", server=server)
        arguments = {
            "publish": ["publish", DIGITS, "--name", "digits"],
            "publish new": ["publish", DIGITS, "--name", f"new{call}"],
            "alias": ["alias", "digits:stable", 1 + call % 2],
            "rollback": ["rollback", f"digits@{1 + call % 2}"],
            "withdraw": ["withdraw", "digits@2", "--delete"],
        }[act]
        lived = killed_at(server, call, *arguments)
        tried += 1
        server.stop(kill=True)
        server = check_whole(repository, range(1, 1000))
        command("publish", DIGITS, "--name", "digits", server=server)
        if act == "withdraw" and 2 not in {model.version for model in apus.Client(server.address).models()}:
            command("publish", DIGITS, "--name", "digits", "--version", 2, server=server, check=False)
        call += 1 if LONG else 13
        assert call < 2000
    server.stop()
    print(f"{act}: killed at {tried - 1} of {call} system calls")
    assert tried > 1
    broken = subprocess.run(
        [command.__globals__["BINARY"], "audit", "verify", str(repository)], capture_output=True, text=True)
    assert broken.returncode == 0, broken.stdout
