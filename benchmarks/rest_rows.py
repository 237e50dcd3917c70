"""The rows over HTTP: what Apus has to reach against the tutorials' server."""

from rows import best_of, compare, median

WORKERS = ("sync", "gthread")


def samples_of(bench, name, connections, polls=False):
  measurements = {"apus": lambda: bench.rest.of_apus(bench.apus, bench.seconds, connections, polls)}
  for worker in WORKERS:
    measurements[worker] = lambda worker=worker: bench.rest.of_flask(worker, bench.seconds, connections, polls)
  return bench.alternate(name, **measurements)


def latency(bench, name, title, polls, required):
  samples = samples_of(bench, name, 1, polls)
  best = min(WORKERS, key=lambda worker: median(samples[worker], "p50_us"))
  return compare(title, "p50 us", "p50_us", samples["apus"], samples[best], f"gunicorn {best}, Flask", required, cpu=False)


def rest_latency(bench):
  return [latency(bench, "rest-latency", "REST, one call at a time", True, 1 / 8),
          latency(bench, "rest-latency-wrk", "REST, one call at a time, client sleeps", False, None)]


def rest_in_flight_16(bench):
  samples = samples_of(bench, "rest-in-flight-16", 16)
  best = best_of(samples, WORKERS)
  return [compare("REST, 16 in flight", "calls/s", "calls_per_second", samples["apus"], samples[best],
                  f"gunicorn {best}, Flask", 5, higher=True, cpu=False)]


def observed_throughput(bench):
  samples = bench.alternate(
      "observed", off=lambda: bench.observed.throughput(bench.seconds, False),
      on=lambda: bench.observed.throughput(bench.seconds, True))
  return [compare("RPC, 128 in flight, access log and scrapes", "calls/s", "calls_per_second", samples["on"],
                  samples["off"], "Apus without", 0.97, higher=True)]


def scraped_latency(bench):
  with bench.observed.many_models() as server:
    samples = bench.alternate(
        "scrapes", off=lambda: bench.observed.latency(server, 2 * bench.seconds, False),
        on=lambda: bench.observed.latency(server, 2 * bench.seconds, True))
  return [compare("RPC amid scrapes of 500 models", "p99 us", "p99_us", samples["on"], samples["off"],
                  "Apus without", 1.2, note=f"{bench.observed.scraped_bytes:,} bytes a scrape, one a second")]


ROWS = {
    "rest-latency": rest_latency,
    "rest-in-flight-16": rest_in_flight_16,
    "rest-observed": observed_throughput,
    "rest-scrapes": scraped_latency,
}
