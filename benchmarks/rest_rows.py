"""The rows over HTTP: what Apus has to reach against the tutorials' server."""

from rows import best_of, compare, median

WORKERS = ("sync", "gthread")


def samples_of(bench, name, connections):
  measurements = {"apus": lambda: bench.rest.of_apus(bench.apus, bench.seconds, connections)}
  for worker in WORKERS:
    measurements[worker] = lambda worker=worker: bench.rest.of_flask(worker, bench.seconds, connections)
  return bench.alternate(name, **measurements)


def rest_latency(bench):
  samples = samples_of(bench, "rest-latency", 1)
  best = min(WORKERS, key=lambda worker: median(samples[worker], "p50_us"))
  return [compare("REST, one call at a time", "p50 us", "p50_us", samples["apus"], samples[best],
                  f"gunicorn {best}, Flask", 1 / 8, cpu=False)]


def rest_in_flight_16(bench):
  samples = samples_of(bench, "rest-in-flight-16", 16)
  best = best_of(samples, WORKERS)
  return [compare("REST, 16 in flight", "calls/s", "calls_per_second", samples["apus"], samples[best],
                  f"gunicorn {best}, Flask", 5, higher=True, cpu=False)]


ROWS = {
    "rest-latency": rest_latency,
    "rest-in-flight-16": rest_in_flight_16,
}
