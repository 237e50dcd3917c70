"""The rows of the second table: what TLS costs a call, and what handshakes cost a server and its callers."""

from time import sleep

from machine import BenchError
from rows import POLLING_SPIN_US, compare, median, system_calls_per_call

FLOOD_CONNECTIONS = 200
# So long after its start the flood has every connection in a handshake.
FLOOD_LEAD_SECONDS = 0.5


def tls_latency(bench, name, title, spin_us, limit):
  first, second = bench.cores
  measure = lambda transport: bench.apus.measure(
      bench.seconds, spin_us=spin_us, threads=1, client_cpu=first, server_cpu=second, transport=transport)
  samples = bench.alternate(name, tcp=lambda: measure(bench.tls.plain),
                            tls=lambda: measure(bench.tls.encrypted))
  figure = compare(title, "p50 us", "p50_us", samples["tls"], samples["tcp"], "Apus tcp://", limit)
  sleeps = [median(samples[key], "server_sleeps") for key in ("tls", "tcp")]
  calls = [system_calls_per_call(samples[key]) for key in ("tls", "tcp")]
  figure.note = (f"server: {sleeps[0]:.2f} / {sleeps[1]:.2f} sleeps, {calls[0]:.2f} / {calls[1]:.2f} "
                 "system calls a call")
  if spin_us == 0 and min(sleeps) < 0.9:
    figure.passed = False
    figure.note += "; it did not sleep between calls, so this is no sleeping row"
  return [figure]


def tls_polling(bench):
  return tls_latency(bench, "tls-polling", "TLS latency, two cores polling", POLLING_SPIN_US, 1.6)


def tls_sleeping(bench):
  return tls_latency(bench, "tls-sleeping", "TLS latency, two cores sleeping", 0, 1.25)


def tls_in_flight(bench):
  first, second = bench.cores
  measure = lambda transport: bench.apus.measure(
      bench.seconds, 128, threads=1, client_cpu=first, server_cpu=second, transport=transport)
  samples = bench.alternate("tls-in-flight", tcp=lambda: measure(bench.tls.plain),
                            tls=lambda: measure(bench.tls.encrypted))
  return [compare("TLS, 128 in flight, one connection", "calls/s", "calls_per_second", samples["tls"],
                  samples["tcp"], "Apus tcp://", 0.5, higher=True)]


def tls_handshakes(bench):
  """A resumed handshake saves the signature, whose cost is that of the key: with 3072 bits, the strength that
  NIST SP 800-57 asks for beyond 2030, it is most of a whole one."""
  return handshakes_with(bench, bench.tls, None) + handshakes_with(bench, bench.strong_tls, 3)


def handshakes_with(bench, tls, resumed_limit):
  first, second = bench.cores
  samples = bench.alternate(
      f"tls-handshakes-{tls.bits}",
      openssl=lambda: tls.of_openssl(bench.seconds, first, second),
      apus=lambda: tls.of_apus(bench.apus, bench.seconds, first, second),
      openssl_resumed=lambda: tls.of_openssl(bench.seconds, first, second, resume=True),
      apus_resumed=lambda: tls.of_apus(bench.apus, bench.seconds, first, second, resume=True))
  key = f"RSA-{tls.bits}"
  return [
      handshake_figure(f"whole handshakes, {key}", samples["apus"], samples["openssl"], "openssl s_server", 0.9),
      handshake_figure(f"resumed handshakes, {key}", samples["apus_resumed"], samples["apus"], "Apus, whole",
                       resumed_limit),
      handshake_figure(f"resumed handshakes, {key}", samples["apus_resumed"], samples["openssl_resumed"],
                       "openssl s_server"),
  ]


def handshake_figure(title, ours, others, against, limit=None):
  """The generator has a processor to itself: where that is busy all the time, the server could do more."""
  busy = " / ".join(f"{100 * median(samples, 'server_busy'):.0f}+{100 * median(samples, 'client_busy'):.0f}"
                    for samples in (ours, others))
  return compare(title, "per s", "per_second", ours, others, against, limit, higher=True,
                 note=f"processors busy, server + generator: {busy} %")


def tls_flood(bench):
  """Sleeping leaves the flood processor time of its own; at the default settings the calls' polling takes all
  there is, and what the flood gets it takes from them.
  """
  first, second = bench.cores
  sleeping = ["--spin-us", "0"]
  return [
      flood_figure(bench, "two cores sleeping", ["--threads", "1", *sleeping], sleeping, first, second, 2),
      flood_figure(bench, "default settings", [], [], None, None),
  ]


def flood_figure(bench, how, server_options, client_options, client_cpu, server_cpu, limit=None):
  floods = []

  def serving():
    return bench.apus.serving(server_options, server_cpu, bench.tls.plain, bench.tls.encrypted)

  def call(server):
    return bench.apus.bench(server, bench.seconds, 1, 1, client_options, client_cpu, bench.tls.plain)

  def alone():
    with serving() as server:
      return call(server)

  def flooded():
    with serving() as server:
      with bench.tls.flood(server, FLOOD_CONNECTIONS) as flood:
        sleep(FLOOD_LEAD_SECONDS)
        sample = call(server)
      floods.append(flood.per_second)
      return sample

  samples = bench.alternate("tls-flood, " + how, alone=alone, flooded=flooded)
  if min(floods) <= 0:
    raise BenchError("no handshake succeeded beside the calls")
  p50 = [median(samples[key], "p50_us") for key in ("flooded", "alone")]
  return compare(f"call amid {FLOOD_CONNECTIONS} handshakes, {how}", "p99 us", "p99_us", samples["flooded"],
                 samples["alone"], "Apus tcp:// alone", limit,
                 note=f"{min(floods):,.0f} to {max(floods):,.0f} handshakes a second meanwhile; "
                      f"p50 us {p50[0]:.1f} / {p50[1]:.1f}")


ROWS = {
    "tls-polling": tls_polling,
    "tls-sleeping": tls_sleeping,
    "tls-in-flight": tls_in_flight,
    "tls-handshakes": tls_handshakes,
    "tls-flood": tls_flood,
}
