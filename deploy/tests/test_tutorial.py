"""docs/tutorial.md: its commands are run as they stand there, one shell for all, and print what it says.

Training needs PyTorch; where that is not installed, the weights that the same script made take its place.
"""

import importlib.util
import os
import re
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MARK = "== block"


def blocks():
  """Each block of commands and the text that it prints, or None."""
  with open(os.path.join(ROOT, "docs", "tutorial.md"), encoding="utf-8") as file:
    page = file.read()
  found = re.findall(r"```sh\n(.*?)```\n(?:```text\n(.*?)```\n)?", page, re.S)
  return [(commands, expected or None) for commands, expected in found]


def can_train():
  return all(importlib.util.find_spec(name) for name in ("torch", "sklearn"))


def test_every_command_of_the_tutorial(tmp_path):
  found = blocks()
  assert len(found) == 9 and "train.py" in found[0][0]
  if not can_train():
    shutil.copy(os.path.join(ROOT, "Tests", "Fixtures", "tutorial", "model.pth"), tmp_path)
    found[0] = ("true\n", None)
  # What runs in the background ends with the shell, however that ends.
  script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
  script += "".join(f"echo '{MARK}'\n{commands}" for commands, _ in found)
  folder = os.path.dirname(os.path.abspath(os.environ["APUS_BINARY"]))
  environment = {**os.environ, "PATH": folder + os.pathsep + os.environ["PATH"], "SOURCE": ROOT,
                 "SWIFT_BACKTRACE": "enable=no"}
  done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True,
                        timeout=120, check=False)
  assert done.returncode == 0, (done.stdout, done.stderr, read(tmp_path / "one.log"), read(tmp_path / "nginx.log"))
  printed = done.stdout.split(MARK + "\n")[1:]
  for (commands, expected), text in zip(found, printed):
    if expected is not None:
      pattern = ".*".join(re.escape(part) for part in expected.strip("\n").split("…"))
      assert re.fullmatch(pattern, text.strip("\n"), re.S), (commands, text)


def read(path):
  return path.read_text() if path.exists() else ""
