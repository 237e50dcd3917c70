"""The rows of the lane's table: what a call through shared memory costs."""

import contextlib
import os
import resource
import statistics
import time

from machine import BenchError
from peers import TEXT_MODEL, TEXT_WIDTHS, check_answer, classify_frame, read_frame
from platform_peers import make_model, python_client
from rows import POLLING_SPIN_US, Figure, compare, cpu_text, median, system_calls_per_call

# 1 MiB of float32, and so little arithmetic that the way there is what is seen.
TENSOR_MODEL, TENSOR_WIDTHS = "tensor", (262_144, 2)
NETWORK_MODEL, NETWORK_WIDTHS = "network", (1024, 1024, 1024, 10)
IDLE_CONNECTIONS, IDLE_LANES, IDLE_SECONDS = 1000, 4, 5


class Lane:
  """The server's Unix socket, over which a client opens a lane."""

  server_options = ()
  client_options = ()

  def __init__(self, address, in_region=False):
    """With `in_region` the inputs lie in memory that the server looks into."""
    self._address = address
    if in_region:
      self.client_options = ("--region",)

  def address(self, _):
    return self._address.replace("unix:", "shm:", 1)


def lane_polling(bench):
  """The bound is 1 us where the bare ring takes 0.16, as a ratio."""
  first, second = bench.cores
  lane = Lane(bench.apus.address)
  measure = lambda transport: bench.apus.measure(
      bench.seconds, spin_us=POLLING_SPIN_US, threads=1, client_cpu=first, server_cpu=second, transport=transport)
  samples = bench.alternate(
      "lane-polling", ring=lambda: bench.raw.ring(bench.raw_calls(2_000_000), first, second),
      lane=lambda: measure(lane), socket=lambda: measure(None))
  figure = compare("latency in a lane, polling", "p50 us", "p50_us", samples["lane"], samples["ring"], "bare ring", 6.25)
  figure.note = f"{system_calls_per_call(samples['lane']):.3f} system calls a call"
  over_socket = compare("the same", "p50 us", "p50_us", samples["lane"], samples["socket"], "Apus unix:")
  over_socket.note = f"p99 us: {median(samples['lane'], 'p99_us'):.2f} / {median(samples['socket'], 'p99_us'):.1f}"
  return [figure, over_socket]


def repository(bench, name, widths):
  """A folder with this model alone, made once."""
  folder = os.path.join(bench.apus.folder, f"lane-{name}")
  if not os.path.isdir(folder):
    make_model(os.path.join(folder, name, "1"), widths, seed=1)
  return folder


def lane_region(bench):
  """What is left of a call with a tensor of 1 MiB when the arithmetic is taken off."""
  first, second = bench.cores
  models = repository(bench, TENSOR_MODEL, TENSOR_WIDTHS)
  measure = lambda transport: bench.apus.measure(
      bench.seconds, spin_us=POLLING_SPIN_US, threads=1, client_cpu=first, server_cpu=second, transport=transport,
      model=TENSOR_MODEL, models=models)
  region = Lane(bench.apus.address, in_region=True)
  samples = bench.alternate("lane-region", region=lambda: measure(region), socket=lambda: measure(None))
  figure = compare("1 MiB in a region, without arithmetic", "p50 us", "transport_us", samples["region"],
                   samples["socket"], "Apus unix:", 0.05)
  whole = [f"{median(samples[key], 'p50_us'):.1f}" for key in ("region", "socket")]
  figure.note = f"with it, p50 us: {' / '.join(whole)}"
  return [figure]


def lane_network(bench):
  """A network of two million weights: what the call adds to its arithmetic."""
  first, second = bench.cores
  models = repository(bench, NETWORK_MODEL, NETWORK_WIDTHS)
  lane = Lane(bench.apus.address)
  samples = bench.alternate("lane-network", lane=lambda: bench.apus.measure(
      bench.seconds, spin_us=POLLING_SPIN_US, threads=1, client_cpu=first, server_cpu=second, transport=lane,
      model=NETWORK_MODEL, models=models))["lane"]
  added = median(samples, "transport_us")
  return [Figure("MLP 1024-1024-1024-10 in a lane, without arithmetic", "p50 us", added, required="<= 3 us",
                 passed=added <= 3, cpu=cpu_text(samples), rounds=[{"apus": vars(s)} for s in samples],
                 note=f"with it, p50 us: {median(samples, 'p50_us'):.1f}")]


def lane_idle(bench):
  """The server's processor time while its clients, each of which has made a call, make none."""
  seconds = 1 if bench.quick else IDLE_SECONDS
  allow_descriptors(IDLE_CONNECTIONS + 200)
  used = []
  for index in range(bench.rounds):
    bench.progress(f"lane-idle: round {index + 1} of {bench.rounds}")
    used.append(idle_share(bench, seconds))
  share = statistics.median(used)
  return [Figure(f"idle: {IDLE_CONNECTIONS} connections, {IDLE_LANES} lanes", "% of a core", share,
                 required="< 0.5 %", passed=share < 0.5, rounds=[{"apus": {"percent": one}} for one in used])]


def idle_share(bench, seconds):
  """Per cent of a core."""
  request = classify_frame(TEXT_MODEL, TEXT_WIDTHS[0])
  with contextlib.ExitStack() as held, bench.apus.serving((), None) as server:
    for _ in range(IDLE_CONNECTIONS):
      peer = held.enter_context(server.connect())
      peer.settimeout(20)
      peer.sendall(request)
      check_answer(read_frame(peer))
    for _ in range(IDLE_LANES):
      client = held.enter_context(python_client().Client(Lane(bench.apus.address).address(server)))
      client.classify(TEXT_MODEL, [0.5] * TEXT_WIDTHS[0])
    # Polling ends soon after the last call.
    time.sleep(0.2)
    before = processor_seconds(server.pid)
    time.sleep(seconds)
    return 100 * (processor_seconds(server.pid) - before) / seconds


def processor_seconds(pid):
  """What all threads have run, in finer units than /proc/PID/stat has: proc(5), schedstat, the first field."""
  folder = f"/proc/{pid}/task"
  total = 0
  for thread in os.listdir(folder):
    with open(f"{folder}/{thread}/schedstat", encoding="ascii") as file:
      total += int(file.read().split()[0])
  return total / 1e9


def allow_descriptors(count):
  """For this process and the servers that it starts."""
  soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  if hard != resource.RLIM_INFINITY and hard < count:
    raise BenchError(f"{count} open files are needed, and {hard} allowed: ulimit -n")
  if soft != resource.RLIM_INFINITY and soft < count:
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


ROWS = {
    "lane-polling": lane_polling,
    "lane-region": lane_region,
    "lane-network": lane_network,
    "lane-idle": lane_idle,
}
