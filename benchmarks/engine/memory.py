#!/usr/bin/env python3
"""Measures the memory that a server takes for a model of about 100 MB, in each format: the most while it
loads, and what stays, besides that of a server of no model, as multiples of the file's size.

The layers are 2560 wide and of seeded random weights; those of 16 bits are float32's upper halves.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from run import HERE, ROOT, WORK, python

sys.path.append(str(HERE.parent))
from machine import ServerProcess, resident_bytes, status_number  # noqa: E402
from platform_peers import make_model  # noqa: E402

WIDTH, LAYERS, CLASSES = 2560, 4, 10
# Format, most while loading, and most afterwards; of those of 16 bits what is packed is as large as the file.
BOUNDS = {"onnx": (2.2, 1.2), "safetensors": (2.2, 1.2), "bf16.safetensors": (2.2, 1.2)}
ONNX = """
import sys, numpy as np, onnx
from models import Builder
b = Builder("wide", 1, [{width}])
x = "x"
for _ in range({layers}): x = b.relu(b.linear(x, {width}, {width}))
b.save(b.linear(x, {width}, {classes}), {classes}, sys.argv[1])
"""


def write(name, folder):
  """A version's folder with a model of this format."""
  widths = [WIDTH] * (LAYERS + 1) + [CLASSES]
  if name == "onnx":
    folder.mkdir(parents=True)
    code = ONNX.format(width=WIDTH, layers=LAYERS, classes=CLASSES)
    subprocess.run([python(), "-c", code, folder / "model.onnx"], check=True, cwd=HERE)
  else:
    make_model(folder, widths, seed=1, half=name.startswith("bf16"))


def serve(models):
  """The most memory of a server of these models, and what it takes once it is ready."""
  socket_path = str(models.parent / "s")
  command = [str(ROOT / ".build" / "release" / "apus"), "serve", "--models", str(models),
             "--listen", f"unix:{socket_path}"]
  # It listens when all models are loaded.
  with ServerProcess(command, socket_path) as server:
    time.sleep(1)
    return status_number(f"/proc/{server.pid}/status", "VmHWM") * 1024, resident_bytes(server.pid)


def main():
  parser = argparse.ArgumentParser(description="Measure the memory of a model of 100 MB.")
  parser.add_argument("--check", action="store_true", help="exit with 1 where a figure is not reached")
  options = parser.parse_args()
  WORK.mkdir(parents=True, exist_ok=True)
  subprocess.run(["swift", "build", "-c", "release", "--product", "apus"], cwd=ROOT, check=True,
                 stdout=subprocess.DEVNULL)
  missed = []
  with tempfile.TemporaryDirectory(dir=WORK) as work:
    models = pathlib.Path(work) / "models"
    models.mkdir()
    base_most, base = serve(models)
    print(f"{'format':<18}{'file MB':>8}  {'loading':>8} {'bound':>6}  {'loaded':>7} {'bound':>6}")
    for name, (most_bound, bound) in BOUNDS.items():
      folder = models / "wide" / "1"
      write(name, folder)
      size = max(file.stat().st_size for file in folder.iterdir())
      most, rest = serve(models)
      most, rest = (most - base_most) / size, (rest - base) / size
      print(f"{name:<18}{size / 1e6:>8.1f}  {most:>8.2f} {most_bound:>6}  {rest:>7.2f} {bound:>6}")
      if most > most_bound or rest > bound:
        missed.append(name)
      shutil.rmtree(models / "wide")
  if missed:
    print("missed: " + ", ".join(missed))
  sys.exit(1 if missed and options.check else 0)


if __name__ == "__main__":
  main()
