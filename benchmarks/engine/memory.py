#!/usr/bin/env python3
"""Measures the memory that a server takes for a model of about 100 MB, in each format: the most while it
loads, and what stays, besides that of a server of no model, as multiples of the file's size.

The layers are 2560 wide and of seeded random weights; those of 16 bits are float32's upper halves.
"""

import argparse
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time

from run import ROOT, WORK, python

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


def write_onnx(path):
  code = ONNX.format(width=WIDTH, layers=LAYERS, classes=CLASSES)
  subprocess.run([python(), "-c", code, path], check=True, cwd=pathlib.Path(__file__).parent)


def write_safetensors(path, half):
  """Weights of a multiplicative generator, as no array library need be there."""
  import random
  noise = random.Random(1)
  header, sizes, place = {}, [], 0
  for layer in range(LAYERS + 1):
    outputs = WIDTH if layer < LAYERS else CLASSES
    for name, shape in (("weight", [outputs, WIDTH]), ("bias", [outputs])):
      count = outputs * (WIDTH if name == "weight" else 1)
      size = count * (2 if half else 4)
      header[f"{layer}.{name}"] = {
        "dtype": "BF16" if half else "F32", "shape": shape, "data_offsets": [place, place + size]}
      sizes.append(size)
      place += size
  text = json.dumps(header).encode()
  text += b" " * (-len(text) % 64 + 56)
  # A million numbers around zero, again and again.
  floats = [noise.uniform(-0.03, 0.03) for _ in range(1 << 20)]
  piece = struct.pack(f"<{len(floats)}f", *floats)
  if half:
    piece = b"".join(piece[at + 2:at + 4] for at in range(0, len(piece), 4))
  with open(path, "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text)
    for size in sizes:
      while size > 0:
        size -= file.write(piece[:size])


def resident(process, field):
  for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
    if line.startswith(field):
      return int(line.split()[1]) << 10
  sys.exit("the server has ended")


def serve(folder):
  """The most memory of a server of this folder, and what it takes once it is ready."""
  apus = ROOT / ".build" / "release" / "apus"
  socket = folder.parent / "s"
  process = subprocess.Popen(
    [apus, "serve", "--models", folder, "--listen", f"unix:{socket}"], stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL)
  try:
    deadline = time.monotonic() + 60
    while subprocess.run([apus, "health", "--to", f"unix:{socket}"], capture_output=True).returncode != 0:
      if time.monotonic() > deadline or process.poll() is not None:
        sys.exit("the server does not become ready")
      time.sleep(0.1)
    time.sleep(1)
    return resident(process, "VmHWM"), resident(process, "VmRSS")
  finally:
    process.terminate()
    process.wait()


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
      folder.mkdir(parents=True)
      path = folder / f"model.{name.split('.')[-1]}"
      write_onnx(path) if name == "onnx" else write_safetensors(path, name.startswith("bf16"))
      (folder / "model.yaml").write_text("output: softmax\n" if name == "onnx" else "")
      size = path.stat().st_size
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
