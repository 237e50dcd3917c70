"""A large body is in memory once: what a process of its own takes for a call, with the real server."""

import json
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from certificates import Authority

SECONDS = 60
LARGE_BYTES = 64 << 20
SLACK_BYTES = 6 << 20

pytestmark = pytest.mark.skipif("APUS_BINARY" not in os.environ or not os.path.exists("/proc/self/clear_refs"),
                                reason="APUS_BINARY names no apus, or this is no Linux")

# Prints the bytes that the peak is over what there was before, and those that stay.
CALLER = """
import re, sys
import numpy as np
import apus

def memory(name):
    with open("/proc/self/status") as file:
        return 1024 * int(re.search(name + r":\\s+(\\d+)", file.read())[1])

address, ca, rows, features = sys.argv[1], sys.argv[2] or None, int(sys.argv[3]), int(sys.argv[4])
array = np.full((rows, features), 0.5, dtype=np.float32)
with apus.Client(address, timeout=60, ca=ca) as client:
    client.classify("wide", array[0], labels=False)
    for _ in range(2):
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        before = memory("VmRSS")
        result = client.classify("wide", array, labels=False)
        assert result.probabilities.shape[0] == rows
        assert abs(float(result.probabilities[rows - 1].sum()) - 1) < 1e-3
        print(memory("VmHWM") - before, memory("VmRSS") - before)
        del result
"""


def wide_model(folder, inputs, outputs):
    """A model of one layer, whose weights are 0."""
    version = folder / "wide" / "1"
    version.mkdir(parents=True)
    weights = 4 * inputs * outputs
    header = json.dumps({
        "0.weight": {"dtype": "F32", "shape": [outputs, inputs], "data_offsets": [0, weights]},
        "0.bias": {"dtype": "F32", "shape": [outputs], "data_offsets": [weights, weights + 4 * outputs]},
    }).encode()
    data = np.zeros(inputs * outputs + outputs, dtype=np.float32).tobytes()
    (version / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    return folder


@pytest.mark.parametrize("inputs, outputs", [(262_144, 2), (1, 262_144)])
@pytest.mark.parametrize("way", ["unix", "shm", "tls"])
def test_a_large_body_is_held_once(tmp_path, way, inputs, outputs):
    path, ca = tmp_path / "s", ""
    command = [os.environ["APUS_BINARY"], "serve", "--models", str(wide_model(tmp_path / "models", inputs, outputs)),
               "--threads", "1", "--listen", f"unix:{path}"]
    address = f"{way}:{path}"
    if way == "tls":
        address, ca, options = encrypted(tmp_path)
        command[-2:-2] = options
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + SECONDS
        while not path.exists():
            assert server.poll() is None and time.monotonic() < limit, "the server did not start"
            time.sleep(0.01)
        caller = [sys.executable, "-c", CALLER, address, ca, "64", str(inputs)]
        package = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        done = subprocess.run(caller, env=package, capture_output=True, text=True, timeout=2 * SECONDS, check=False)
        assert done.returncode == 0, done.stderr
    finally:
        server.kill()
        server.wait()
    answer_bytes = LARGE_BYTES if outputs > inputs else 0
    for line in done.stdout.splitlines():
        peak, after = map(int, line.split())
        assert peak < answer_bytes + SLACK_BYTES, f"{peak >> 10} KiB at the peak over {way}"
        assert after < answer_bytes + SLACK_BYTES, f"{after >> 10} KiB afterwards over {way}"


def encrypted(folder):
    """An address that is free, the file of its authority, and what the server is told."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"tls://127.0.0.1:{probe.getsockname()[1]}"
    authority = Authority(folder, "memory")
    certificate, key = authority.sign("server", "server", "IP:127.0.0.1")
    return address, authority.file, ["--listen", address, "--tls-cert", certificate, "--tls-key", key]
