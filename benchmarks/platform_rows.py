"""The rows about changes of models: what callers may notice of them, and what they may cost."""

import statistics

from rows import POLLING_SPIN_US, Figure, compare

PUBLISHES = 200
UNLOADS = 500
MANY_MODELS = 2000


def publishes(bench):
  return [published(bench, "16 clients amid 2.5 publishes a second", 0.4, 1.5),
          published(bench, "16 clients amid publishes without a pause", 0, 1.5)]


def published(bench, title, every, limit):
  """Rounds go on until so many versions have been published in all."""
  counts, alone, amid = [], [], []
  seconds = 8 * bench.seconds
  while len(counts) < bench.rounds or (sum(counts) < PUBLISHES and not bench.quick):
    bench.progress(f"platform-publishes: round {len(counts) + 1}, {sum(counts)} published")
    alone.append(bench.platform.calls(seconds, False)[0])
    sample, count = bench.platform.calls(seconds, True, every)
    amid.append(sample)
    counts.append(count)
  return compare(title, "p99 us", "p99_us", amid, alone, "Apus without", limit,
                 note=f"{sum(counts)} publishes, {sum(s.calls for s in amid):,} calls, 0 failed")


def loading(bench):
  counts = []

  def amid():
    sample, count = bench.platform.calls_amid_loading(4 * bench.seconds, bench.cores, True)
    counts.append(count)
    return sample

  samples = bench.alternate(
      "platform-loading", alone=lambda: bench.platform.calls_amid_loading(4 * bench.seconds, bench.cores, False)[0],
      amid=amid)
  return [compare("calls while 500 MB load on another core", "p99 us", "p99_us", samples["amid"], samples["alone"],
                  "Apus without", 1.3, note=f"loaded {sum(counts)} times")]


def figure(title, unit, values, others, against, limit, note=""):
  """A Figure from plain numbers."""
  ratios = [value / other for value, other in zip(values, others)]
  ratio = statistics.median(ratios)
  return Figure(
      title=title, unit=unit, apus=statistics.median(values), against=against, other=statistics.median(others),
      ratio=ratio, ratio_range=(min(ratios), max(ratios)), required=f"<= {limit:g} x", passed=ratio <= limit,
      note=note, rounds=[{"apus": value, "other": other} for value, other in zip(values, others)])


def rollback(bench):
  times = []
  for index in range(bench.rounds):
    bench.progress(f"platform-rollback: round {index + 1} of {bench.rounds}")
    times.append(bench.platform.rollback_times())
  load, from_disk, loaded = ([1000 * seconds for seconds in column] for column in zip(*times))
  return [figure("rollback to 100 MB on disk", "ms", from_disk, load, "its load", 1.5,
                 note=f"while it is loaded {statistics.median(loaded):.1f} ms, the command's start included; the next "
                 "answer came from it each time")]


def memory(bench):
  count = 10 if bench.quick else UNLOADS
  after = [bytes / 1e6 for bytes in bench.platform.resident_after_unloads(count, bench.progress)]
  return [figure(f"resident after {count} unloads of 100 MB", "MB", [max(after[1:])], [after[0]], "after the first",
                 1.05, note=f"after the last {after[-1]:.1f} MB; the highest of all counts")]


def many_models(bench):
  measure = lambda count: bench.platform.calls_by_name(count, bench.seconds, bench.cores, POLLING_SPIN_US)
  samples = bench.alternate("platform-many", one=lambda: measure(1), many=lambda: measure(MANY_MODELS))
  starts = bench.alternate(
      "platform-many, start", half=lambda: bench.platform.start_seconds(MANY_MODELS // 2),
      whole=lambda: bench.platform.start_seconds(MANY_MODELS))
  return [compare(f"call by name among {MANY_MODELS} models", "p50 us", "p50_us", samples["many"], samples["one"],
                  "among one", 1.05),
          figure(f"start with {MANY_MODELS} models", "s", starts["whole"], starts["half"],
                 f"with {MANY_MODELS // 2}", 2.2)]


ROWS = {
    "platform-publishes": publishes,
    "platform-loading": loading,
    "platform-rollback": rollback,
    "platform-memory": memory,
    "platform-many": many_models,
}
