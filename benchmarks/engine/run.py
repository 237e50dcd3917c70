#!/usr/bin/env python3
"""Measures the engine against ONNX Runtime: the same ONNX files, in one process on one core, in rounds of both.

What counts is the median of the rounds' ratios. Makes what it needs under .build/engine-bench: a virtual
environment with ONNX Runtime from PyPI, models of seeded random weights, Magika's graph, and the program.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / ".build" / "engine-bench"
MODELS = WORK / "models"
PACKAGES = ["onnx==1.23.2", "onnxruntime==1.32.0", "numpy", "sympy"]
MAGIKA = "magika==1.0.3 --hash=sha256:3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529"
MAGIKA_MODEL = "magika/models/standard_v3_3/model.onnx"

# Model, batches, and the largest ratio that each may have; nil: it is shown alone.
ROWS = {
  "mlp1024": ([1, 2, 4, 8, 16, 32, 64, 128], [1.03] * 8),
  "digits": ([1, 16, 128], [0.2, 0.7, 0.95]),
  "textclassifier": ([1], [None]),
  "lenet": ([1, 16], [1.0, 1.0]),
  "resnet18": ([1, 16], [1.25, 1.25]),
  "magika": ([1, 10], [1.0, 1.0]),
  "trees": ([1, 128], [1.0, 1.0]),
  "mlp1024-int8": ([1, 16, 128], [None] * 3),
  "digits-int8": ([1, 16, 128], [None] * 3),
}
# Quantised models, and how many times as quick as their float32 they must be, with dot products of bytes.
QUANTISED = {"mlp1024-int8": ("mlp1024", 2.0), "digits-int8": ("digits", 1.0)}


def python():
  venv = WORK / "venv"
  if not (venv / "bin" / "python").exists():
    WORK.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin" / "pip", "install", "-q", *PACKAGES], check=True)
  return venv / "bin" / "python"


def library():
  code = "import onnxruntime, pathlib; print(*pathlib.Path(onnxruntime.__file__).parent.glob('capi/libonnxruntime.so*'))"
  return subprocess.run([python(), "-c", code], check=True, capture_output=True, text=True).stdout.split()[0]


def make_models():
  MODELS.mkdir(parents=True, exist_ok=True)
  if not all((MODELS / f"{name}.onnx").exists() for name in ROWS if name != "magika"):
    subprocess.run([python(), HERE / "models.py", MODELS], check=True)
  magika = MODELS / "magika.onnx"
  if not magika.exists():
    (WORK / "magika.txt").write_text(MAGIKA + "\n")
    subprocess.run([python(), "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "-d", WORK, "-r",
                    WORK / "magika.txt"], check=True)
    with zipfile.ZipFile(next(WORK.glob("magika-*.whl"))) as wheel:
      magika.write_bytes(wheel.read(MAGIKA_MODEL))


def measure(name, rounds, core, verbose):
  batches = ROWS[name][0]
  program = [ROOT / ".build" / "release" / "engine-bench", library(), MODELS / f"{name}.onnx",
             ",".join(map(str, batches)), str(rounds)]
  done = subprocess.run(["taskset", "-c", str(core), *program], capture_output=True, text=True,
                        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
  if done.returncode != 0 or verbose:
    print(done.stderr, file=sys.stderr)
  if done.returncode != 0:
    sys.exit(f"{name}: engine-bench ended with {done.returncode}")
  return [json.loads(line) for line in done.stdout.splitlines()]


def main():
  parser = argparse.ArgumentParser(description="Compare the engine with ONNX Runtime on one core.")
  parser.add_argument("--only", action="append", choices=ROWS, help="this model only; may be repeated")
  parser.add_argument("--rounds", type=int, default=15, help="times both sides are run (default: 15)")
  parser.add_argument("--core", type=int, default=os.cpu_count() - 1, help="the processor (default: the last)")
  parser.add_argument("--verbose", action="store_true", help="show each model's plan")
  parser.add_argument("--check", action="store_true", help="exit with 1 where a figure is not reached")
  parser.add_argument("--output", help="write the figures to this file as JSON")
  options = parser.parse_args()
  make_models()
  subprocess.run(["swift", "build", "-c", "release", "--product", "engine-bench"], cwd=ROOT, check=True,
                 stdout=subprocess.DEVNULL)
  figures, missed = {}, []
  print(f"{'model':<14}{'rows':>5}  {'Apus us':>10}{'ORT us':>10}  {'ratio':>6} {'(low-high)':<15} {'bound':>6}")
  for name in options.only or ROWS:
    figures[name] = measure(name, options.rounds, options.core, options.verbose)
    for row, bound in zip(figures[name], ROWS[name][1]):
      passed = bound is None or row["ratio"] <= bound
      if not passed:
        missed.append(f"{name} at {row['rows']} rows")
      spread = f"({row['low']:.2f}-{row['high']:.2f})"
      print(f"{name:<14}{row['rows']:>5}  {row['apus_us']:>10.2f}{row['onnxruntime_us']:>10.2f}  {row['ratio']:>6.3f} "
            f"{spread:<15} {'' if bound is None else bound:>6}  {'' if bound is None else 'ok' if passed else 'MISSED'}")
    row = figures[name][0]
    print(f"{name:<14}       planned in {row['first_planning_ms']:.1f} ms, in {row['planning_ms']:.1f} with costs that are known")
    if len(figures[name]) > 2 and name not in QUANTISED:
      mean = math.exp(sum(math.log(row["ratio"]) for row in figures[name]) / len(figures[name]))
      print(f"{name:<14}       geometric mean of the ratios {mean:.3f}")
  for name, (whole, times) in QUANTISED.items():
    if name in figures and whole in figures:
      whole_us = {row["rows"]: row["apus_us"] for row in figures[whole]}
      for row in figures[name]:
        print(f"{name} is {whole_us[row['rows']] / row['apus_us']:.2f} times as quick as {whole} at {row['rows']} rows"
              f" (with VNNI at least {times})")
  if options.output:
    pathlib.Path(options.output).write_text(json.dumps(figures, indent=1) + "\n")
  if missed:
    print("missed: " + ", ".join(missed))
  sys.exit(1 if missed and options.check else 0)


if __name__ == "__main__":
  main()
