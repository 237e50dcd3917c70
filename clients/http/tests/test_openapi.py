"""schemathesis, from PyPI, reads /openapi.json and looks for what the server does otherwise."""

import subprocess
import sys
from pathlib import Path


def test_the_server_does_what_its_document_says(server):
    program = Path(sys.executable).with_name("schemathesis")
    configuration = Path(__file__).with_name("schemathesis.toml")
    done = subprocess.run([str(program), "--config-file", str(configuration), "run", server.url + "/openapi.json",
                           "--checks", "all", "--max-examples", "20", "--no-color", "--seed", "1"],
                          capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout[-8000:]
    assert "18 selected / 18 total" in done.stdout
