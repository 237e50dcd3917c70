"""docs/http.md: its calls are made as they stand there, and answered as it says."""

import re
import subprocess
from pathlib import Path

import pytest

from serving import SECONDS, Server

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "http.md").read_text()
CALLS = re.findall(r"^\$ (curl .*)\n(.*)$", PAGE, re.M)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("page"), variables={"APUS_DEFAULT_MODEL": "sentiment"}) as server:
        yield f"127.0.0.1:{server.port}"


def parts(text):
    """What an answer holds: its text without times, and its fractions, whose last digits are the processor's."""
    text = re.sub(r'"timing_ns":\{[^}]*\}', "", text)
    fraction = r"-?\d+\.\d+(?:e-?\d+)?"
    return re.sub(fraction, "#", text), [float(number) for number in re.findall(fraction, text)]


def run(command, place):
    assert "127.0.0.1:8080" in command
    done = subprocess.run(["bash", "-euc", command.replace("127.0.0.1:8080", place).replace("curl", "curl -sS")],
                          capture_output=True, text=True, timeout=SECONDS, check=True)
    return done.stdout.strip("\n")


def test_there_are_calls():
    assert len(CALLS) == 8 and all(answer for _, answer in CALLS)


@pytest.mark.parametrize("command,answer", CALLS, ids=range(len(CALLS)))
def test_a_call_is_answered_as_the_page_says(place, command, answer):
    (told, fractions), (expected, numbers) = parts(run(command, place)), parts(answer)
    assert told == expected and fractions == pytest.approx(numbers, rel=1e-5)


def test_tritons_client_prints_what_the_page_says(place, capsys):
    code, printed = re.search(r"```python\n(.*?)   # (\d+)\n```", PAGE, re.S).groups()
    exec(code.replace("127.0.0.1:8080", place), {})
    assert capsys.readouterr().out == printed + "\n"
