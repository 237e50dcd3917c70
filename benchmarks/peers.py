"""The three things that are measured: Apus, the raw exchanges in C, gRPC C++. Each gives back Samples."""

import json
import os
import random
import shutil
import socket
import struct
import subprocess
import time
from dataclasses import dataclass, field

from machine import (START_SECONDS, BenchError, ServerProcess, Usage, count_system_calls, pinned,
                     resident_bytes, run)

# The frames of one Classify call for `textclassifier`, a row of 100 floats in, 2 classes out. A frame is a
# 32-byte header and the metadata, padded to a multiple of 64, then the body, padded to a multiple of 64.
# Request: header 32 + model's name 16 + part 11 + time-out 6 = 65 -> 128; + 4 * 100 = 528 -> 576.
# Answer: header 32 + rows 2 + classes 2 + part 10 + version 2 + time account 17 to 25 = 65 to 73 -> 128;
# + 4 * 2 = 136 -> 192.
# The run asks the server's counters whether that is so, and takes their word.
REQUEST_BYTES = 576
ANSWER_BYTES = 192

TEXT_MODEL, TEXT_WIDTHS = "textclassifier", (100, 2)
DIGITS_MODEL, DIGITS_WIDTHS = "digits", (64, 128, 64, 10)


@dataclass
class Sample:
  """One measurement of one peer. Durations are µs; CPU and sleeps are per call."""
  calls: int                 # measured by the client
  served: int                # by the server in the same run, a warm-up included
  calls_per_second: float
  p50_us: float = None
  p99_us: float = None
  p999_us: float = None
  transport_us: float = None  # median of round trip minus arithmetic
  server_cpu_us: float = None
  client_cpu_us: float = None
  server_sleeps: float = None
  counters: dict = field(default_factory=dict)  # per call, from the server itself


def sample(report, server, server_calls, client, client_calls, counters=None):
  """A Sample from a client's JSON line and what both sides used over so many calls."""
  latency = report.get("latency_us", {})
  return Sample(
      calls=report["calls"], served=server_calls, calls_per_second=report["calls_per_second"],
      p50_us=latency.get("p50"), p99_us=latency.get("p99"), p999_us=latency.get("p999"),
      transport_us=report.get("transport_p50_us"),
      server_cpu_us=1e6 * server.cpu_seconds / server_calls, server_sleeps=server.sleeps / server_calls,
      client_cpu_us=1e6 * client.cpu_seconds / client_calls, counters=counters or {})


def parse(text, what):
  try:
    return json.loads(text.strip().splitlines()[-1])
  except (IndexError, ValueError):
    raise BenchError(f"{what} printed no JSON: {text.strip()[:200]!r}") from None


def require_executable(path, how):
  if not os.access(path, os.X_OK) or os.path.isdir(path):
    raise BenchError(f"{path} is missing: {how}")
  return path


class Raw:
  """What the kernel's sockets cost when nothing is done with the bytes."""

  def __init__(self, build):
    how = "run `make -C benchmarks raw`"
    self.pingpong_path = require_executable(os.path.join(build, "pingpong"), how)
    self.pipelined_path = require_executable(os.path.join(build, "pipelined"), how)
    self.ring_path = require_executable(os.path.join(build, "ring"), how)
    self.sizes = [str(REQUEST_BYTES), str(ANSWER_BYTES)]

  def pingpong(self, mode, calls, client_cpu, server_cpu):
    return self._sample([self.pingpong_path, mode, "unix", *self.sizes, str(calls), str(client_cpu),
                         str(server_cpu)])

  def ring(self, calls, client_cpu, server_cpu):
    return self._sample([self.ring_path, *self.sizes, str(calls), str(client_cpu), str(server_cpu)])

  def pipelined(self, depth, calls, client_cpu, server_cpu):
    return self._sample([self.pipelined_path, str(depth), *self.sizes, str(calls), str(client_cpu),
                         str(server_cpu)])

  def _sample(self, command):
    report = parse(run(command, timeout=120)[0], command[0])
    calls = report["calls"]
    return sample(report, Usage(report["server_cpu_seconds"], report["server_sleeps"]), calls,
                  Usage(report["client_cpu_seconds"], report["client_sleeps"]), calls)


class Grpc:
  """The gRPC C++ server and client that do the same Classify."""

  # Left to itself OpenBLAS starts a thread for each processor before main(): of no use to small models.
  environment = {"OPENBLAS_NUM_THREADS": "1"}

  def __init__(self, build, folder):
    how = "run `make -C benchmarks grpc` (it needs libgrpc++-dev and protobuf-compiler-grpc)"
    self.server_path = require_executable(os.path.join(build, "grpc_server"), how)
    self.client_path = require_executable(os.path.join(build, "grpc_client"), how)
    self.folder = folder
    self.socket_path = os.path.join(folder, "grpc.sock")
    self.digits_weights = write_weights(os.path.join(folder, "digits.bin"), DIGITS_WIDTHS)

  def _server(self, mode, weights, cpu=None):
    return ServerProcess([self.server_path, mode, weights, "unix:" + self.socket_path], self.socket_path, cpu,
                         self.environment)

  def latency(self, mode, seconds, client_cpu=None, server_cpu=None):
    return self._measure(mode, ["lat"], [], seconds, client_cpu, server_cpu)

  def throughput(self, mode, in_flight, channels, seconds, client_cpu=None, server_cpu=None, widths=TEXT_WIDTHS):
    return self._measure(mode, ["thr"], [str(in_flight), str(channels)], seconds, client_cpu, server_cpu, widths)

  def _measure(self, mode, head, tail, seconds, client_cpu, server_cpu, widths=TEXT_WIDTHS):
    command = [self.client_path, *head, "unix:" + self.socket_path, str(widths[0]), str(seconds), *tail]
    with self._server(mode, self._weights(widths), server_cpu) as server:
      before = server.usage()
      report = parse(run(pinned(command, client_cpu), timeout=60 + 2 * seconds)[0], command[0])
      used = server.usage() - before
    return sample(report, used, report["all_calls"], Usage(report["client_cpu_seconds"], 0), report["calls"])

  def _weights(self, widths):
    """A file for a network of these widths, made once."""
    path = os.path.join(self.folder, "x".join(map(str, widths)) + ".bin")
    return path if os.path.exists(path) else write_weights(path, widths)

  def start(self):
    """Starts a server and calls it once."""
    client = subprocess.Popen([self.client_path, "first", self.socket_path, str(DIGITS_WIDTHS[0])],
                              stdout=subprocess.PIPE, text=True)
    server = self._server("sync", self.digits_weights)
    try:
      if client.stdout.readline().strip() != "ready":
        raise BenchError(f"{self.client_path} did not get ready")
      server.start()
      # The client gives up by itself when nothing listens.
      report = parse(client.communicate(timeout=2 * START_SECONDS)[0], self.client_path)
      return Start.between(server, report["listening_at_ns"], report["answered_at_ns"])
    except subprocess.TimeoutExpired:
      raise BenchError("the gRPC server gave no answer") from None
    finally:
      client.kill()
      client.wait()
      client.stdout.close()
      server.stop()


class Apus:
  """Apus, used as its users do: through the `apus` command."""

  def __init__(self, path, models, folder):
    self.path = require_executable(path, "run `swift build -c release`, or name it with --apus")
    self.models = models
    for name in (TEXT_MODEL, DIGITS_MODEL):
      if not os.path.isdir(os.path.join(models, name)):
        raise BenchError(f"the model repository {models} has no {name}; name another with --models")
    self.folder = folder
    self.socket_path = os.path.join(folder, "apus.sock")
    self.address = "unix:" + self.socket_path

  def _server(self, options, cpu=None, models=None):
    command = [self.path, "serve", "--listen", self.address, "--models", models or self.models, *options]
    return ServerProcess(command, self.socket_path, cpu)

  def _counters(self):
    text = run([self.path, "stats", "--to", self.address, "--json"], timeout=20)[0]
    try:
      counters = json.loads(text)["server"]
      return {name: int(value) for name, value in counters.items() if name.endswith("_total")}
    except (AttributeError, KeyError, TypeError, ValueError):
      raise BenchError(f"`apus stats --json` printed no counters: {text.strip()[:200]!r}") from None

  def measure(self, seconds, concurrency=1, connections=1, spin_us=None, threads=None, client_cpu=None,
              server_cpu=None, transport=None, model=TEXT_MODEL, models=None):
    """One server, one `apus bench` against it. None leaves a setting at its default."""
    spin = [] if spin_us is None else ["--spin-us", str(spin_us)]
    options = [*spin, *([] if threads is None else ["--threads", str(threads)])]
    with self.serving(options, server_cpu, transport, models=models) as server:
      return self.bench(server, seconds, concurrency, connections, spin, client_cpu, transport, model)

  def serving(self, options, cpu, *transports, models=None):
    """A server, not yet started, that listens on its Unix socket and where the transports say."""
    listens = [word for transport in transports if transport for word in transport.server_options]
    return self._server([*listens, *options], cpu, models)

  def bench(self, server, seconds, concurrency, connections, spin, client_cpu, transport=None, model=TEXT_MODEL):
    to = ["--to", self.address]
    if transport:
      to = ["--to", transport.address(server), *transport.client_options]
    command = [self.path, "bench", *to, "--model", model,
               "--concurrency", str(concurrency), "--connections", str(connections), *spin,
               "--duration", f"{seconds:g}", "--json"]
    counted, before = self._counters(), server.usage()
    text, client = run(pinned(command, client_cpu), timeout=60 + 4 * seconds)
    used, counted_after = server.usage() - before, self._counters()
    try:
      report = json.loads(text)
      calls, errors, _ = report["calls"], report["errors"], report["latency_us"]["p50"]
    except (KeyError, TypeError, ValueError):
      raise BenchError(f"`apus bench --json` printed no report: {text.strip()[:200]!r}") from None
    if errors or not calls:
      raise BenchError(f"{errors} of {calls} calls failed: {' '.join(command)}")
    served = counted_after.get("requests_total", 0) - counted.get("requests_total", 0)
    if served < calls:
      raise BenchError(f"the server counted {served} requests where the client made {calls} calls")
    per_call = {name: (value - counted.get(name, 0)) / served for name, value in counted_after.items()}
    return sample(report, used, served, client, served, per_call)

  def flood(self, seconds, rate, deadline, cpu, model, connections=4):
    """Calls at fixed times, whatever becomes of them: the report, with `errors` and all `seconds`."""
    command = [self.path, "bench", "--to", self.address, "--model", model, "--rate", f"{rate:.0f}", "--connections",
               str(connections), "--deadline-ms", f"{1e3 * deadline:g}", "--duration", f"{seconds:g}", "--json"]
    report = parse(run(pinned(command, cpu), timeout=60 + 4 * seconds)[0], command[0])
    return {"seconds": seconds, **report}

  def saturate(self, seconds, model, rows, cpu, concurrency=2):
    """Keeps the server busy with calls of many rows; gives the median of a call in seconds."""
    command = [self.path, "bench", "--to", self.address, "--model", model, "--rows", str(rows), "--concurrency",
               str(concurrency), "--spin-us", "0", "--duration", f"{seconds:g}", "--json"]
    report = parse(run(pinned(command, cpu), timeout=60 + 4 * seconds)[0], command[0])
    return report["latency_us"]["p50"] / 1e6

  def traced(self, seconds, concurrency, client_cpu, server_cpu):
    """A run under strace: its Sample, and all system calls of the server; None where strace may not."""
    samples = []
    with self._server(["--threads", "1"], server_cpu) as server:
      total = count_system_calls(
          server.pid, lambda: samples.append(self.bench(server, seconds, concurrency, 1, [], client_cpu)))
    return None if total is None else (samples[0], total)

  def start(self):
    """Starts a server that has only `digits`, and calls it once."""
    models = os.path.join(self.folder, "digits-only")
    if not os.path.isdir(models):
      shutil.copytree(os.path.join(self.models, DIGITS_MODEL), os.path.join(models, DIGITS_MODEL))
    server = self._server([], models=models)
    request = classify_frame(DIGITS_MODEL, DIGITS_WIDTHS[0])
    try:
      server.start()
      with server.connect() as peer:
        listening = time.monotonic_ns()
        peer.settimeout(START_SECONDS)
        peer.sendall(request)
        check_answer(read_frame(peer))
        answered = time.monotonic_ns()
      return Start.between(server, listening, answered)
    except (socket.timeout, ConnectionError) as error:
      raise BenchError(f"Apus gave no first answer: {error}") from None
    finally:
      server.stop()


@dataclass
class Start:
  """A server's start, in milliseconds from the creation of its process, and what it then holds in memory."""
  listening_ms: float
  answered_ms: float
  resident_mb: float

  @classmethod
  def between(cls, server, listening_ns, answered_ns):
    return cls((listening_ns - server.started_ns) / 1e6, (answered_ns - server.started_ns) / 1e6,
               resident_bytes(server.pid) / 1e6)


def write_weights(path, widths):
  """Random weights for `baselines/mlp.h`; how long they take does not hang on their values."""
  generator = random.Random(1)
  with open(path, "wb") as file:
    file.write(struct.pack(f"<I{len(widths)}I", len(widths), *widths))
    for inputs, outputs in zip(widths, widths[1:]):
      count = inputs * outputs + outputs
      file.write(struct.pack(f"<{count}f", *(generator.gauss(0, 0.1) for _ in range(count))))
  return path


# magic, version, kind, method, id, metadata bytes, flags, body bytes
FRAME_HEADER = struct.Struct("<4sBBHQIIQ")
FLAG_STATUS = 2


def padded(count):
  return (count + 63) // 64 * 64


def varint(value):
  octets = bytearray()
  while value > 0x7F:
    octets.append(value & 0x7F | 0x80)
    value >>= 7
  return bytes(octets) + bytes([value])


def classify_frame(model, features):
  """One Classify request for a row of so many float32, as `proto/apus.proto` says."""
  shape = varint(1) + varint(features)
  part = b"\x08\x01" + b"\x12" + varint(len(shape)) + shape + b"\x20" + varint(4 * features)
  name = model.encode()
  metadata = b"\x0a" + varint(len(name)) + name + b"\x22" + varint(len(part)) + part
  body = struct.pack(f"<{features}f", *(0.5 for _ in range(features)))
  header = FRAME_HEADER.pack(b"APUS", 1, 1, 0x0101, 1, len(metadata), 0, len(body))
  head = header + metadata
  frame = head.ljust(padded(len(head)), b"\0") + body
  return frame.ljust(padded(len(frame)), b"\0")


def read_frame(peer):
  """The next whole frame."""
  data = b""
  needed = FRAME_HEADER.size
  while len(data) < needed:
    chunk = peer.recv(65536)
    if not chunk:
      raise ConnectionError("the server closed the connection")
    data += chunk
    if len(data) >= FRAME_HEADER.size:
      fields = FRAME_HEADER.unpack_from(data)
      needed = padded(padded(FRAME_HEADER.size + fields[5]) + fields[7])
  return data


def check_answer(frame):
  magic, _, kind, _, _, metadata_bytes, flags, body_bytes = FRAME_HEADER.unpack_from(frame)
  if magic != b"APUS" or kind != 2:
    raise BenchError("what came back is not an answer")
  if flags & FLAG_STATUS or body_bytes == 0:
    metadata = frame[FRAME_HEADER.size:FRAME_HEADER.size + metadata_bytes]
    raise BenchError(f"Apus refused the call: {metadata!r}")
