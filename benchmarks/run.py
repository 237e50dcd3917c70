#!/usr/bin/env python3
"""Measures Apus against the raw sockets under it, gRPC C++ doing the same, and itself amid changes: README.md.

Each baseline and Apus run in turn on the same processors, A B A B …; what counts is the median of the rounds'
ratios. Needs Python 3 alone, and the programs that `make -C benchmarks` and `swift build -c release` make.
"""

import argparse
import json
import os
import re
import signal
import sys
import tempfile
import time

import lane_rows
import machine
import peers
import platform_peers
import platform_rows
import queue_rows
import rest_peers
import rest_rows
import rows
import tls_peers
import tls_rows

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
# Titles of the tables, and their rows.
TABLES = {"": rows.ROWS, "Shared memory": lane_rows.ROWS, "Calls that wait": queue_rows.ROWS, "TLS": tls_rows.ROWS, "HTTP": rest_rows.ROWS,
          "Models that change": platform_rows.ROWS}
# Tables that can be asked for as a whole.
GROUPS = {"lane": lane_rows.ROWS, "queue": queue_rows.ROWS, "tls": tls_rows.ROWS, "rest": rest_rows.ROWS, "platform": platform_rows.ROWS}


def arguments():
  parser = argparse.ArgumentParser(
      description="Compare Apus with raw sockets and with gRPC C++ on this machine.")
  parser.add_argument("--apus", default=os.path.join(ROOT, ".build", "release", "apus"), metavar="PATH",
                      help="the apus binary (default: .build/release/apus)")
  parser.add_argument("--models", default=os.path.join(ROOT, "models", "repository"), metavar="DIR",
                      help="a repository with textclassifier and digits (default: models/repository)")
  parser.add_argument("--only", action="append", metavar="NAME",
                      choices=[*rows.ROWS, *(word for name, table in GROUPS.items() for word in (name, *table))],
                      help=f"this row only, may be repeated: {', '.join(rows.ROWS)}; {', '.join(GROUPS)} for a whole "
                      f"table, or of those: {', '.join(name for table in GROUPS.values() for name in table)}")
  parser.add_argument("--rounds", type=int, default=5, metavar="N", help="times each is run (default: 5)")
  parser.add_argument("--seconds", type=float, default=1.5, metavar="S",
                      help="length of one measurement (default: 1.5)")
  parser.add_argument("--quick", action="store_true",
                      help="one short round: shows that everything runs; the figures mean little")
  parser.add_argument("--output", metavar="FILE",
                      help="the JSON (default: benchmarks/results/DATE-HOST.json, none with --quick)")
  parser.add_argument("--check", action="store_true",
                      help="exit with 1 when a required figure is not reached")
  options = parser.parse_args()
  if options.rounds < 1 or options.seconds <= 0:
    parser.error("--rounds and --seconds must be positive")
  if options.quick:
    options.rounds, options.seconds = 1, 0.3
  options.only = set(options.only or [*rows.ROWS, *GROUPS])
  for name, of_table in GROUPS.items():
    if name in options.only:
      options.only |= set(of_table)
  return options


def progress(text):
  if sys.stderr.isatty():
    print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def number(value):
  if value is None:
    return ""
  return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}" if value < 100 else f"{value:.1f}"


def table(figures):
  """The figures as aligned text; a note stands on a line of its own."""
  head = ["figure", "unit", "Apus", "other", "against", "ratio (range)", "required", "", "CPU us/call s+c"]
  lines = [head]
  for f in figures:
    ratio = "" if f.ratio is None else f"{f.ratio:.3f} ({f.ratio_range[0]:.3f}-{f.ratio_range[1]:.3f})"
    verdict = "" if f.passed is None else "pass" if f.passed else "MISS"
    lines.append([f.title, f.unit, number(f.apus), number(f.other), f.against, ratio, f.required, verdict,
                  f.cpu])
  widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
  text = []
  for index, line in enumerate(lines):
    text.append("  ".join(cell.rjust(width) if column in (2, 3) else cell.ljust(width)
                          for column, (cell, width) in enumerate(zip(line, widths))).rstrip())
    if index == 0:
      text.append("-" * len(text[0]))
    elif figures[index - 1].note:
      text.append("    " + figures[index - 1].note)
  return "\n".join(text)


def default_output():
  host = re.sub(r"[^A-Za-z0-9.-]", "_", os.uname().nodename)
  return os.path.join(HERE, "results", f"{time.strftime('%Y-%m-%d')}-{host}.json")


def write_results(path, options, about, frame_bytes, tables):
  os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
  document = {
      "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "machine": about, "rounds": options.rounds,
      "seconds": options.seconds, "quick": options.quick,
      "frame_bytes": {"request": frame_bytes[0], "answer": frame_bytes[1]},
      "figures": [vars(figure) for figures in tables.values() for figure in figures],
  }
  with open(path, "w", encoding="utf-8") as file:
    json.dump(document, file, indent=1)
    file.write("\n")


def measure(options, folder):
  """Runs the rows; returns the frames' sizes and the figures of each table that has any."""
  build = os.path.join(HERE, "build")
  others, lanes, queues, encrypted, http = (
      bool(options.only & set(table))
      for table in (rows.ROWS, lane_rows.ROWS, queue_rows.ROWS, tls_rows.ROWS, rest_rows.ROWS))
  apus = peers.Apus(options.apus, options.models, folder)
  bench = rows.Bench(
      apus=apus, raw=peers.Raw(build) if others or lanes else None,
      grpc=peers.Grpc(build, folder) if others or queues else None,
      tls=tls_peers.TLS(build, folder) if encrypted else None,
      strong_tls=tls_peers.TLS(build, folder, bits=3072) if encrypted else None,
      rest=rest_peers.Rest(folder) if http else None, observed=rest_peers.Observed(apus, folder),
      platform=platform_peers.Platform(apus, folder), quick=options.quick,
      cores=machine.two_cores(), rounds=options.rounds, seconds=options.seconds, progress=progress)
  frame_bytes = [peers.REQUEST_BYTES, peers.ANSWER_BYTES]
  if others:
    progress("frame sizes")
    frame_bytes = rows.use_real_frame_sizes(bench, 0.3)
  if frame_bytes != [peers.REQUEST_BYTES, peers.ANSWER_BYTES]:
    print(f"note: Apus' frames hold {frame_bytes[0]} and {frame_bytes[1]} bytes, not "
          f"{peers.REQUEST_BYTES} and {peers.ANSWER_BYTES}; the raw exchanges carry as many",
          file=sys.stderr)
  tables = {}
  for title, of_table in TABLES.items():
    chosen = [row for name, row in of_table.items() if name in options.only]
    tables[title] = [figure for row in chosen for figure in row(bench)]
  progress("")
  return frame_bytes, {title: figures for title, figures in tables.items() if figures}


def main():
  options = arguments()
  # A default SIGTERM would leave servers running; as an exception it passes every `with` and `finally`.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
  about = machine.describe(ROOT, options.apus)
  if about["load_before"] > 0.5 * about["cpus"]:
    print(f"note: the machine is busy (load {about['load_before']:.1f}); the figures will be noisy",
          file=sys.stderr)
  try:
    with tempfile.TemporaryDirectory(prefix="apus-bench-") as folder:
      frame_bytes, tables = measure(options, folder)
  except machine.BenchError as error:
    progress("")
    print(f"benchmarks: {error}", file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    progress("")
    return 130
  print(f"{about['cpu_model']}, {about['cpus']} processors, Linux {about['kernel']}, "
        f"gRPC C++ {about['versions']['grpc++']}, OpenBLAS {about['versions']['openblas']}, "
        f"{about['versions']['openssl']}; {options.rounds} rounds of {options.seconds:g} s")
  for title, figures in tables.items():
    print(f"\n{title}\n" if title else "")
    print(table(figures))
  output = options.output or (None if options.quick else default_output())
  if output:
    write_results(output, options, about, frame_bytes, tables)
    print(f"\nwritten to {os.path.relpath(output)}")
  missed = any(figure.passed is False for figures in tables.values() for figure in figures)
  return 1 if options.check and missed else 0


if __name__ == "__main__":
  sys.exit(main())
