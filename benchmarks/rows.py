"""The rows of the table: what is run against what, and what Apus has to reach."""

import statistics
from dataclasses import dataclass, field

from machine import BenchError

# Longer than any pause between two calls of a row, so that neither side ever sleeps.
POLLING_SPIN_US = 100_000


@dataclass
class Figure:
  """A line of the table. `rounds` holds what each round gave, to be read again later."""
  title: str
  unit: str
  apus: float
  against: str = ""
  other: float = None
  ratio: float = None
  ratio_range: tuple = None
  required: str = ""
  passed: bool = None
  cpu: str = ""
  note: str = ""
  rounds: list = field(default_factory=list)


@dataclass
class Bench:
  """What every row needs."""
  apus: object
  raw: object
  grpc: object
  tls: object
  strong_tls: object
  rest: object
  observed: object
  platform: object
  quick: bool
  cores: tuple
  rounds: int
  seconds: float
  progress: object  # called with a short text

  def alternate(self, name, **measurements):
    """Runs each measurement in turn, A B A B …; a list of Samples for each."""
    samples = {key: [] for key in measurements}
    for index in range(self.rounds):
      for key, measure in measurements.items():
        self.progress(f"{name}: round {index + 1} of {self.rounds}, {key.replace('_', ' ')}")
        samples[key].append(measure())
    return samples

  def raw_calls(self, calls_per_second):
    """How many calls fill the time of a measurement at about this rate."""
    return max(2000, int(self.seconds * calls_per_second))


def median(samples, name):
  return statistics.median(getattr(s, name) for s in samples)


def best_of(samples, keys):
  """The configuration with the highest median of calls per second."""
  return max(keys, key=lambda key: median(samples[key], "calls_per_second"))


def optional(value, form):
  return "-" if value is None else format(value, form)


def cpu_text(*peers):
  """CPU of the server and the client, µs a call, for each peer."""
  return " / ".join(f"{median(samples, 'server_cpu_us'):.1f}+{median(samples, 'client_cpu_us'):.1f}"
                    for samples in peers)


def compare(title, unit, value, apus, other, against, limit=None, higher=False, cpu=True, note="",
            rounds=None):
  """A Figure from the median of the rounds' ratios Apus / other, and its limit where there is one."""
  ratios = [getattr(a, value) / getattr(b, value) for a, b in zip(apus, other)]
  ratio = statistics.median(ratios)
  figure = Figure(
      title=title, unit=unit, apus=median(apus, value), against=against, other=median(other, value),
      ratio=ratio, ratio_range=(min(ratios), max(ratios)), note=note,
      cpu=cpu_text(apus, other) if cpu else "",
      rounds=rounds or [{"apus": vars(a), "other": vars(b)} for a, b in zip(apus, other)])
  if limit is not None:
    figure.required = f"{'>=' if higher else '<='} {limit:g} x"
    figure.passed = ratio >= limit if higher else ratio <= limit
  return figure


def latency_row(bench, name, title, mode, client_cpu, server_cpu, calls_per_second, limit):
  sleeping = mode == "block"
  spin_us = 0 if sleeping else POLLING_SPIN_US
  samples = bench.alternate(
      name,
      raw=lambda: bench.raw.pingpong(mode, bench.raw_calls(calls_per_second), client_cpu, server_cpu),
      apus=lambda: bench.apus.measure(bench.seconds, spin_us=spin_us, threads=1, client_cpu=client_cpu,
                                      server_cpu=server_cpu))
  figure = compare(title, "p50 us", "p50_us", samples["apus"], samples["raw"], "raw ping-pong", limit)
  sleeps, calls = median(samples["apus"], "server_sleeps"), system_calls_per_call(samples["apus"])
  figure.note = f"server: {sleeps:.2f} sleeps, {calls:.2f} system calls a call"
  # One wait, one receive, one send: a server that polled would make more. On a core that both share, the client often
  # preempts the server before it waits, and then there is nothing left to sleep for.
  if sleeping and (calls > 3.1 or (client_cpu != server_cpu and sleeps < 0.9)):
    figure.passed = False
    figure.note += "; it did not sleep between calls, so this is no sleeping row"
  return [figure]


def system_calls_per_call(samples):
  try:
    return statistics.median(s.counters["system_calls_total"] for s in samples)
  except KeyError as missing:
    raise BenchError(f"`apus stats --json` has no {missing}") from None


def sleeping_two_cores(bench):
  first, second = bench.cores
  return latency_row(bench, "sleeping-two-cores", "latency, two cores sleeping", "block", first, second,
                     calls_per_second=20_000, limit=1.25)


def sleeping_one_core(bench):
  first, _ = bench.cores
  return latency_row(bench, "sleeping-one-core", "latency, one core sleeping", "block", first, first,
                     calls_per_second=90_000, limit=1.5)


def polling(bench):
  first, second = bench.cores
  return latency_row(bench, "polling", "latency, two cores polling", "spin", first, second,
                     calls_per_second=200_000, limit=1.4)


def grpc_latency(bench):
  """Both at their default settings, not pinned. gRPC's server is taken in the form that is quicker here."""
  samples = bench.alternate(
      "grpc-latency",
      grpc_sync=lambda: bench.grpc.latency("sync", bench.seconds),
      apus=lambda: bench.apus.measure(bench.seconds),
      grpc_callback=lambda: bench.grpc.latency("callback", bench.seconds))
  best = min(("grpc_sync", "grpc_callback"), key=lambda key: median(samples[key], "p50_us"))
  tails = ", ".join(f"{name} {optional(median(samples[key], 'p99_us'), '.1f')}"
                    for name, key in (("Apus", "apus"), ("gRPC", best)))
  return [compare("latency, default settings", "p50 us", "p50_us", samples["apus"], samples[best],
                  "gRPC C++ " + best.removeprefix("grpc_"), 0.1, note=f"p99 us: {tails}")]


def grpc_throughputs(bench, in_flight, channels):
  """Every way gRPC could be at its best: either server, each number of channels, pinned or free."""
  first, second = bench.cores
  measurements = {}
  for mode in ("sync", "callback"):
    for count in channels:
      for pinning, client_cpu, server_cpu in (("pinned", first, second), ("free", None, None)):
        measurements[f"grpc_{mode}_{count}_{pinning}"] = (
            lambda mode=mode, count=count, client_cpu=client_cpu, server_cpu=server_cpu:
            bench.grpc.throughput(mode, in_flight, count, bench.seconds, client_cpu, server_cpu))
  return measurements


def throughput_samples(bench, name, in_flight, connections, raw_rate):
  first, second = bench.cores
  measurements = {"raw": lambda: bench.raw.pipelined(in_flight, bench.raw_calls(raw_rate), first, second)}
  for count in connections:
    measurements[f"apus_{count}"] = (
        lambda count=count: bench.apus.measure(bench.seconds, in_flight, count, threads=1, client_cpu=first,
                                               server_cpu=second))
  measurements.update(grpc_throughputs(bench, in_flight, connections))
  samples = bench.alternate(name, **measurements)
  apus = best_of(samples, [key for key in samples if key.startswith("apus_")])
  grpc = best_of(samples, [key for key in samples if key.startswith("grpc_")])
  rounds = [{key: vars(values[index]) for key, values in samples.items()} for index in range(bench.rounds)]
  return samples, apus, grpc, rounds


def in_flight_16(bench):
  samples, apus, grpc, rounds = throughput_samples(bench, "in-flight-16", 16, (1, 16), 450_000)
  of = f"{apus.removeprefix('apus_')} connection(s)"
  return [
      compare(f"16 in flight, {of}", "calls/s", "calls_per_second", samples[apus], samples[grpc],
              grpc.replace("_", " "), 5, higher=True, rounds=rounds),
      compare(f"16 in flight, {of}", "calls/s", "calls_per_second", samples[apus], samples["raw"],
              "raw pipelined", 0.7, higher=True),
  ]


def in_flight_128(bench):
  samples, apus, grpc, rounds = throughput_samples(bench, "in-flight-128", 128, (1,), 1_000_000)
  rate = median(samples[apus], "calls_per_second")
  absolute = Figure("128 in flight, one reactor", "calls/s", rate, required=">= 500000",
                    passed=rate >= 500_000, cpu=cpu_text(samples[apus]))
  # Only the absolute figure is asked for; the ratios tell what it is worth on this machine.
  return [
      absolute,
      compare("128 in flight, one reactor", "calls/s", "calls_per_second", samples[apus], samples[grpc],
              grpc.replace("_", " "), higher=True, rounds=rounds),
      compare("128 in flight, one reactor", "calls/s", "calls_per_second", samples[apus], samples["raw"],
              "raw pipelined"),
  ]


def start(bench):
  """A process's start with `digits`. Starts are short, so there are more of them."""
  count = 4 * bench.rounds
  apus, grpc = [], []
  for index in range(count):
    bench.progress(f"start: {index + 1} of {count}")
    grpc.append(bench.grpc.start())
    apus.append(bench.apus.start())
  resident = max(s.resident_mb for s in apus)
  return [
      compare("start to first answer, digits", "ms", "answered_ms", apus, grpc, "gRPC C++ sync", limit=1.5,
              cpu=False),
      compare("start to listening, digits", "ms", "listening_ms", apus, grpc, "gRPC C++ sync", cpu=False),
      Figure("resident after the first answer", "MB", resident, "gRPC C++ sync",
             max(s.resident_mb for s in grpc), required="< 20 MB", passed=resident < 20),
  ]


def system_calls(bench):
  """As the server counts them; strace counts the same calls in a run of its own, which it slows."""
  first, second = bench.cores
  samples = bench.alternate("system-calls", apus=lambda: bench.apus.measure(
      bench.seconds, 128, threads=1, client_cpu=first, server_cpu=second))["apus"]
  counted = system_calls_per_call(samples)
  figure = Figure("system calls a call, 128 in flight", "calls", counted, required="< 0.2",
                  passed=counted < 0.2, cpu=cpu_text(samples), rounds=[{"apus": vars(s)} for s in samples])
  bench.progress("system-calls: under strace")
  traced = bench.apus.traced(min(bench.seconds, 1), 128, first, second)
  if traced is None:
    figure.note = "strace may not trace here, so not cross-checked"
  else:
    sample, total = traced
    server_says = sample.counters["system_calls_total"]
    figure.note = f"under strace: {total / sample.served:.3f} by strace, {server_says:.3f} by the server"
  return [figure]


ROWS = {
    "sleeping-two-cores": sleeping_two_cores,
    "sleeping-one-core": sleeping_one_core,
    "polling": polling,
    "grpc-latency": grpc_latency,
    "in-flight-16": in_flight_16,
    "in-flight-128": in_flight_128,
    "start": start,
    "system-calls": system_calls,
}


def use_real_frame_sizes(bench, seconds):
  """Makes the raw exchanges carry as many bytes as Apus does, by the server's own counters; says which."""
  counters = bench.apus.measure(seconds).counters
  try:
    sizes = [round(counters[name] / 64) * 64 for name in ("received_bytes_total", "sent_bytes_total")]
  except KeyError as missing:
    raise BenchError(f"`apus stats --json` has no {missing}") from None
  if min(sizes) <= 0:
    raise BenchError("`apus stats --json` counts no bytes")
  bench.raw.sizes = [str(size) for size in sizes]
  return sizes
