"""docs/http.md: its calls are made as they stand there, and answered as it says."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from serving import DIGIT, SECONDS, Server, Versioned

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "http.md").read_text()
CALLS = re.findall(r"^\$ (curl .*)\n(.*)$", PAGE, re.M)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("page"), variables={"APUS_DEFAULT_MODEL": "sentiment"}) as server:
        yield f"127.0.0.1:{server.port}"


def parts(text):
    """What an answer holds without times and the memory of what is the quickest layout here: text, and fractions.

    The last digits of fractions are the processor's.
    """
    text = re.sub(r'"timing_ns":\{[^}]*\}|"memory_bytes":\d+', "", text)
    fraction = r"-?\d+\.\d+(?:e-?\d+)?"
    return re.sub(fraction, "#", text), [float(number) for number in re.findall(fraction, text)]


def run(command, place):
    assert "127.0.0.1:8080" in command
    done = subprocess.run(["bash", "-euc", command.replace("127.0.0.1:8080", place).replace("curl", "curl -sS")],
                          capture_output=True, text=True, timeout=SECONDS, check=True)
    return done.stdout.strip("\n")


def test_there_are_calls():
    assert len(CALLS) == 9 and all(answer for _, answer in CALLS)


@pytest.mark.parametrize("command,answer", CALLS, ids=range(len(CALLS)))
def test_a_call_is_answered_as_the_page_says(place, command, answer):
    (told, fractions), (expected, numbers) = parts(run(command, place)), parts(answer)
    assert told == expected and fractions == pytest.approx(numbers, rel=1e-5)


def test_tritons_client_prints_what_the_page_says(place, capsys):
    code, printed = re.search(r"```python\n(.*?)   # (\d+)\n```", PAGE, re.S).groups()
    exec(code.replace("127.0.0.1:8080", place), {})
    assert capsys.readouterr().out == printed + "\n"


def test_a_deprecated_version_says_so_as_the_page_has_it(tmp_path):
    commands, told = re.search(r"```\n(apus model deprecate .*?)```\n```\n(Deprecation: .*?)```", PAGE, re.S).groups()
    (tmp_path / "digit.json").write_bytes(DIGIT)
    with Versioned(tmp_path) as server:
        for written, here in (("unix:/tmp/apus.sock", server.rpc), ("127.0.0.1:8080", f"127.0.0.1:{server.port}")):
            assert written in commands
            commands = commands.replace(written, here)
        path = f"{Path(os.environ['APUS_BINARY']).resolve().parent}:{os.environ['PATH']}"
        subprocess.run(["bash", "-euc", commands], cwd=tmp_path, env={**os.environ, "PATH": path}, timeout=SECONDS,
                       check=True, stdout=subprocess.DEVNULL)
    found = (tmp_path / "headers.txt").read_text()
    assert [line for line in found.splitlines() if re.match("(apus-)?deprecat", line, re.I)] == [
        re.sub("[0-9]{10}", lambda _: re.search("Deprecation: @([0-9]{10})", found)[1], line)
        for line in told.splitlines()]
    assert abs(int(re.search("Deprecation: @([0-9]+)", found)[1]) - time.time()) < 60
    assert '"deprecated":"use 2 before May"' in (tmp_path / "answer.json").read_text()
