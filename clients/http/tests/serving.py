"""Servers with HTTP as ordinary processes, and raw connections to them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
import requests

import apus

MODELS = Path(__file__).resolve().parents[3] / "models"
SECONDS = 20
PROBLEM = "application/problem+json"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_until(condition: Callable[[], object], what: str) -> None:
    limit = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < limit, f"in {SECONDS} s it did not happen that {what}"
        time.sleep(0.01)


class Server:
    """`apus serve` with a Unix socket for RPC and a port for HTTP; what it writes goes to `log`."""

    def __init__(self, folder: Path, options: Sequence[str] = (), scheme: str = "http",
                 variables: Optional[dict[str, str]] = None, models: Path = MODELS / "repository") -> None:
        self.port = free_port()
        self.url, self.rpc, self.log = f"{scheme}://127.0.0.1:{self.port}", f"unix:{folder}/rpc.sock", folder / "log"
        place = f"127.0.0.1:{self.port}" if scheme == "http" else self.url
        self.command = [os.environ["APUS_BINARY"], "serve", "--threads", "1", "--models", str(models),
                        "--listen", self.rpc, "--http", place, *options]
        self.environment = {**os.environ, "SWIFT_BACKTRACE": "enable=no", **(variables or {})}
        self.process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        with open(self.log, "ab") as log:
            before = log.tell()
            self.process = subprocess.Popen(self.command, env=self.environment, stderr=log)

        def serves() -> bool:
            assert self.process and self.process.poll() is None, self.log.read_text()
            return b"serving HTTP on" in self.log.read_bytes()[before:]

        wait_until(serves, "the server serves HTTP")

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def drain(self) -> None:
        self.signal(signal.SIGTERM)
        self.ends()

    def ends(self) -> None:
        assert self.process and self.process.wait(SECONDS) == 0, "SIGTERM ends a server with status 0"

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Server:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if error[0] is None and self.process and self.process.poll() is None:
                self.drain()
        finally:
            self.kill()

    def stats(self, **options: str) -> Any:
        arguments = [text for name, value in options.items() for text in ("--" + name.replace("_", "-"), value)]
        done = subprocess.run([os.environ["APUS_BINARY"], "stats", "--to", self.rpc, "--json", *arguments],
                              capture_output=True, text=True, timeout=SECONDS, check=True)
        return json.loads(done.stdout)

    def connect(self, context: Optional[ssl.SSLContext] = None) -> Raw:
        return Raw(self.port, context)


class Versioned(Server):
    """A server on a repository of its own, with version 1 of digits, whose versions `apus model` changes."""

    FIRST = MODELS / "repository/digits/1"

    def __init__(self, folder: Path, state: Optional[dict[str, Any]] = None) -> None:
        self.repository = folder / "models"
        shutil.copytree(self.FIRST, self.repository / "digits/1")
        if state:
            (self.repository / "digits/state.json").write_text(json.dumps(state))
        super().__init__(folder, variables={"APUS_DEFAULT_MODEL": "digits"}, models=self.repository)

    def model(self, *arguments: str) -> str:
        done = subprocess.run([os.environ["APUS_BINARY"], "model", *arguments, "--to", self.rpc],
                              capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def publish(self, path: str, *options: str) -> str:
        return self.model("publish", path, "--name", "digits", "--keep-latest", *options)

    def call(self, method: str, path: str, body: Optional[bytes] = None, **headers: str) -> requests.Response:
        return requests.request(method, self.url + path, data=body, headers=headers, timeout=SECONDS)

    def versions(self, path: str = "/v1/models/digits") -> dict[int, Any]:
        return {model["version"]: model for model in self.call("GET", path).json()["models"]}


class Answer:
    def __init__(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> Any:
        return json.loads(self.body)


class Raw:
    """A connection on which tests write bytes of their own."""

    def __init__(self, port: int, context: Optional[ssl.SSLContext] = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(self, method: str, path: str, body: Optional[bytes] = None, **headers: str) -> None:
        self.send(head(method, path, body, **headers) + (body or b""))

    def answer(self, method: str = "POST") -> Answer:
        """The next answer: every header line, and a body of just the length that it names."""
        line = self.file.readline()
        assert line.startswith(b"HTTP/1.1 "), line
        headers = http.client.parse_headers(self.file)
        has_body = method != "HEAD" and line[9:12] not in (b"204", b"304") and line[9:10] != b"1"
        body = self.file.read(int(headers["content-length"])) if has_body else b""
        return Answer(int(line[9:12]), headers, body)

    def is_closed(self) -> bool:
        """Reads to the end, which must come."""
        try:
            return self.file.read() == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def head(method: str, path: str, body: Optional[bytes] = None, **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if body is not None and "content_length" not in headers:
        headers["content_length"] = str(len(body))
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Sample:
    """What a model must answer; computed in double precision when it was trained."""

    def __init__(self, name: str) -> None:
        expected = json.loads((MODELS / "samples" / f"{name}.expected.json").read_text())
        self.model, self.labels = expected["model"], expected["labels"]
        self.inputs = np.load(MODELS / "samples" / expected["inputs"]).astype(np.float32)
        self.probabilities = np.array(expected["probabilities"])
        self.scores = np.array(expected["scores"])


DIGITS, TEXTS = Sample("digits"), Sample("texts")
# One row of digits as a body.
DIGIT = json.dumps({"inputs": DIGITS.inputs[0].tolist()}).encode()
TOLERANCE = 2e-6


def difference(found: Any, expected: np.ndarray) -> float:
    assert np.shape(found) == expected.shape
    return float(np.abs(np.asarray(found, dtype=np.float64) - expected).max())


def by_rpc(server: Server, sample: Sample) -> np.ndarray:
    """The model's own 32-bit floats."""
    with apus.Client(server.rpc) as client:
        return client.classify(sample.model, sample.inputs).probabilities


def is_problem(response: Any, status: int, reason: str, text: str = "") -> bool:
    """Whether a refusal of `requests` is what RFC 9457 and docs/http.md say."""
    code = response.status_code if hasattr(response, "status_code") else response.status
    assert code == status, (code, response.json())
    assert response.headers["content-type"] == PROBLEM
    body = response.json()
    assert set(body) == {"type", "title", "status", "detail", "code", "reason", "error"}
    assert (body["type"], body["status"], body["reason"]) == ("about:blank", status, reason), body
    assert body["title"] and body["code"] and body["error"] == body["detail"]
    assert re.search(text, body["detail"]), body["detail"]
    return True


@contextlib.contextmanager
def servers(*all: Server) -> Iterator[Sequence[Server]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(server) for server in all]
