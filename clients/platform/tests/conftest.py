"""Servers on repositories of their own. APUS_BINARY names the server; APUS_LONG=1 asks for the long forms."""
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = os.environ.get("APUS_BINARY", str(ROOT / ".build/debug/apus"))
# Taken out, as the servers would refuse a variable that they do not know.
LONG = os.environ.pop("APUS_LONG", "") == "1"
DIGITS = ROOT / "models/repository/digits/1"
sys.path.insert(0, str(ROOT / "clients/python"))


def write_safetensors(path, tensors):
    """The format: 8 bytes little-endian, the length of a JSON header, the header, the numbers."""
    header, offset = {}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array, dtype="<f4").tobytes())


def make_model(folder, inputs=64, classes=10, hidden=(), seed=0):
    """A network of random weights, as a folder that can be published."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    random, tensors, width = np.random.default_rng(seed), {}, inputs
    for index, size in enumerate([*hidden, classes]):
        tensors[f"{index}.weight"] = (random.standard_normal((size, width), dtype="f4") / np.sqrt(width)).astype("f4")
        tensors[f"{index}.bias"] = np.zeros(size, "f4")
        width = size
    write_safetensors(folder / "model.safetensors", tensors)
    (folder / "model.yaml").write_text("architecture: {type: mlp, activation: relu}\noutput: softmax\n")
    return folder


class Server:
    """`apus serve` on a folder, in a process that ends with the test."""

    def __init__(self, repository, *arguments, **variables):
        self.repository = pathlib.Path(repository)
        self.socket = f"{self.repository}.{os.urandom(4).hex()}.s"
        self.address = "unix:" + self.socket
        self.log = open(f"{self.repository}.log", "ab")
        self.process = subprocess.Popen(
            [BINARY, "serve", "--models", str(self.repository), "--listen", self.address, "--threads", "1", *arguments],
            stderr=self.log, env={**os.environ, **variables})
        end = time.monotonic() + 60
        while not os.path.exists(self.socket):
            assert self.process.poll() is None and time.monotonic() < end, "the server did not start"
            time.sleep(0.005)

    def threads(self, *names):
        """Ids of the threads of these names."""
        found = []
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            if (task / "comm").read_text().strip() in names:
                found.append(task.name)
        return found

    def resident(self):
        """Memory that lies in RAM, in bytes."""
        lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) * 1024

    def stop(self, kill=False):
        if self.process.poll() is None:
            self.process.kill() if kill else self.process.terminate()
        status = self.process.wait(30)
        self.log.close()
        return status


def command(*arguments, server=None, check=True):
    """Runs `apus model …`."""
    to = ["--to", server.address] if server else []
    run = subprocess.run([BINARY, "model", *map(str, arguments), *to], capture_output=True, text=True, timeout=120)
    assert not check or run.returncode == 0, run.stderr
    return run


def wait_for(condition, seconds=60):
    """Returns when it has come about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def free_port():
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def repository(tmp_path):
    """A repository with version 1 of digits."""
    folder = tmp_path / "models"
    shutil.copytree(DIGITS, folder / "digits/1")
    return folder


@pytest.fixture
def serve(request):
    """Starts servers that end with the test."""
    servers = []

    def start(repository, *arguments, **variables):
        servers.append(Server(repository, *arguments, **variables))
        return servers[-1]

    yield start
    for server in servers:
        server.stop(kill=True)
