"""The rows of calls that wait: batches across connections, too much load, a small model beside a slow one."""

import os
import shutil
import threading

from lane_rows import NETWORK_MODEL, NETWORK_WIDTHS, repository
from machine import BenchError
from peers import TEXT_MODEL
from platform_peers import make_model
from rows import Figure, best_of, compare, median

CONNECTIONS = 64
OVERLOAD = 5
# Their calls take about so long, each by itself.
SLOW_MODEL, SLOW_WIDTHS = "slow", (1024, 1024, 1024, 1024, 1024, 1024, 1024, 10)
QUICK_MODEL, QUICK_WIDTHS = "quick", (512, 512, 256, 10)
DEADLINE_SECONDS = 0.05
OVERLOAD_SECONDS = 60
# What a call of a slow model takes, and how many rows tell how many of the network take as long.
SATURATING_SECONDS, PROBE_ROWS = 0.05, 256


def unbatched(bench, name, widths):
  """A folder with this model alone, whose calls are computed one by one."""
  folder = os.path.join(bench.apus.folder, f"alone-{name}")
  if not os.path.isdir(folder):
    version = make_model(os.path.join(folder, name, "1"), widths, seed=1)
    with open(os.path.join(version, "model.yaml"), "a", encoding="utf-8") as file:
      file.write("batch: {max: 1}\n")
  return folder


def batching(bench):
  """The same network for many connections: with batches, without, and in gRPC C++."""
  first, second = bench.cores
  measure = lambda models: bench.apus.measure(
      bench.seconds, CONNECTIONS, CONNECTIONS, threads=1, client_cpu=first, server_cpu=second, model=NETWORK_MODEL,
      models=models)
  together = repository(bench, NETWORK_MODEL, NETWORK_WIDTHS)
  alone = unbatched(bench, NETWORK_MODEL, NETWORK_WIDTHS)
  grpc = lambda mode: bench.grpc.throughput(
      mode, CONNECTIONS, 16, bench.seconds, first, second, widths=NETWORK_WIDTHS)
  samples = bench.alternate(
      "batching", apus=lambda: measure(together), alone=lambda: measure(alone),
      grpc_sync=lambda: grpc("sync"), grpc_callback=lambda: grpc("callback"))
  best = best_of(samples, ("grpc_sync", "grpc_callback"))
  title = f"{CONNECTIONS} connections, MLP 1024-1024-1024-10"
  figures = [
      compare(title, "calls/s", "calls_per_second", samples["apus"], samples["alone"], "no batches", 2, higher=True),
      compare(title, "p50 us", "p50_us", samples["apus"], samples["alone"], "no batches", 1),
      compare(title, "calls/s", "calls_per_second", samples["apus"], samples[best], best.replace("_", " "), 2.5,
              higher=True)]
  return figures


def overload(bench, name, widths, share):
  """Five times what the server can do, with a deadline: what is answered in time, and how soon after the flood a
  caller is served as before. Within a minute machines change their speed, so capacity is the mean of what it is
  before and after."""
  first, second = bench.cores
  models = unbatched(bench, name, widths)
  seconds = bench.seconds if bench.quick else OVERLOAD_SECONDS
  with bench.apus.serving(["--threads", "1"], second, models=models) as server:
    bench.progress(f"overload-{name}: capacity")
    measure = lambda: bench.apus.bench(server, max(2, bench.seconds), 16, 16, [], first, model=name)
    one_caller = lambda: bench.apus.bench(server, 1, 1, 1, [], first, model=name)
    undisturbed, before = one_caller(), measure()
    bench.progress(f"overload-{name}: {seconds:g} s of {OVERLOAD} x {before.calls_per_second:.0f} calls a second")
    flood = bench.apus.flood(seconds, OVERLOAD * before.calls_per_second, DEADLINE_SECONDS, first, name)
    bench.progress(f"overload-{name}: recovery")
    recovered, after = one_caller(), measure()
  capacity = (before.calls_per_second + after.calls_per_second) / 2
  offered = flood["calls"] / flood["seconds"]
  good = (flood["calls"] - flood["errors"]) / flood["seconds"]
  ratio = good / capacity
  latest = flood["server_us"]["total"]["p999"] / 1e6
  recovery = recovered.p50_us / undisturbed.p50_us
  title = f"offered {offered / capacity:.1f} x capacity, {1e6 / capacity:.0f} us a call"
  rounds = [{"apus": flood}]
  return [
      Figure(title, "answered/s", good, "capacity", capacity, ratio, (ratio, ratio), f">= {share:g} x",
             ratio >= share, rounds=rounds,
             note=f"capacity before and after: {before.calls_per_second:.0f}, {after.calls_per_second:.0f}"),
      Figure("the same: p99.9 of what is let in", "ms", 1e3 * latest, required=f"<= {1e3 * DEADLINE_SECONDS:g}",
             passed=latest <= DEADLINE_SECONDS,
             note=f"in the server; for its client, whose own delays count, {flood['latency_us']['p999'] / 1e3:.1f} ms"),
      Figure("one caller in the second after it", "p50 us", recovered.p50_us, "before it", undisturbed.p50_us,
             recovery, (recovery, recovery),
             note=f"p99 us: {recovered.p99_us:.0f} / {undisturbed.p99_us:.0f}")]


def overload_slow(bench):
  return overload(bench, SLOW_MODEL, SLOW_WIDTHS, 0.95)


def overload_quick(bench):
  return overload(bench, QUICK_MODEL, QUICK_WIDTHS, 0.8)


def beside_slow(bench):
  """A small model's calls while a worker computes all the time on one processor; the other one, which is free
  for them, has their client and the reactor, as it has in the calls without."""
  first, second = bench.cores
  models = os.path.join(bench.apus.folder, "beside")
  if not os.path.isdir(models):
    shutil.copytree(repository(bench, NETWORK_MODEL, NETWORK_WIDTHS), models)
    shutil.copytree(os.path.join(bench.apus.models, TEXT_MODEL), os.path.join(models, TEXT_MODEL))
  with bench.apus.serving(["--threads", "1"], second, models=models):
    probe = bench.apus.saturate(1, NETWORK_MODEL, PROBE_ROWS, first, concurrency=1)
  rows = max(1, round(PROBE_ROWS * SATURATING_SECONDS / probe))

  def measure(saturated):
    with bench.apus.serving(["--threads", "1"], second, models=models) as server:
      seconds = max(2, bench.seconds)
      if not saturated:
        return bench.apus.bench(server, seconds, 1, 1, [], second, model=TEXT_MODEL)
      flood = threading.Thread(
          target=bench.apus.saturate, args=(seconds + 2, NETWORK_MODEL, rows, first))
      flood.start()
      try:
        threading.Event().wait(1)
        pin_workers(server.pid, first)
        return bench.apus.bench(server, seconds, 1, 1, [], second, model=TEXT_MODEL)
      finally:
        flood.join()

  samples = bench.alternate("beside-slow", alone=lambda: measure(False), beside=lambda: measure(True))
  figure = compare("small model beside calls of about 50 ms", "p99 us", "p99_us", samples["beside"],
                   samples["alone"], "alone", 2)
  figure.note = (f"p50 us: {median(samples['beside'], 'p50_us'):.1f} / {median(samples['alone'], 'p50_us'):.1f}; "
                 f"the slow calls have {rows} rows")
  return [figure]


def pin_workers(pid, cpu):
  """Gives a server's workers, which its first slow call has started, a processor of their own."""
  pinned = 0
  for thread in os.listdir(f"/proc/{pid}/task"):
    with open(f"/proc/{pid}/task/{thread}/comm", encoding="ascii") as file:
      if file.read().startswith("apus-worker"):
        os.sched_setaffinity(int(thread), {cpu})
        pinned += 1
  if not pinned:
    raise BenchError("the server has started no workers")


ROWS = {
    "batching": batching,
    "overload-slow": overload_slow,
    "overload-quick": overload_quick,
    "beside-slow": beside_slow,
}
