-- wrk posts 100 numbers and prints one line of JSON; any answer but 200 counts as an error.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local numbers = {}
for index = 1, 100 do numbers[index] = string.format("%.6f", math.sin(index)) end
wrk.body = '{"text": [' .. table.concat(numbers, ", ") .. ']}'

function done(summary, latency, requests)
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
    + summary.errors.timeout
  io.write(string.format(
    '{"calls": %d, "errors": %d, "calls_per_second": %.1f, "latency_us": {"p50": %d, "p99": %d, "p999": %d}}\n',
    summary.requests, errors, summary.requests / summary.duration * 1e6,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
