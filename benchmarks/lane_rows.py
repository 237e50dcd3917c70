"""The rows of the lane's table: what a call through shared memory costs."""

from rows import POLLING_SPIN_US, compare, median, system_calls_per_call


class Lane:
  """The server's Unix socket, over which a client opens a lane."""

  server_options = ()
  client_options = ()

  def __init__(self, address):
    self._address = address

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


ROWS = {"lane-polling": lane_polling}
