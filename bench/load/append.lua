-- wrk -s append.lua URL -- PREFIX SUFFIX STREAMS BODY_FILE CONTENT_TYPE
-- Posts the same body to one stream after another; prints one JSON object at the end.
local bodies, prefix, suffix, streams, at

function init(args)
  prefix, suffix, streams = args[1], args[2], tonumber(args[3])
  local file = io.open(args[4], "rb")
  local body = file:read("*a")
  file:close()
  local headers = {["Content-Type"] = args[5], ["Prefer"] = "return=minimal"}
  bodies, at = {}, 0
  for n = 0, streams - 1 do
    bodies[n] = wrk.format("POST", prefix .. "s" .. n .. suffix, headers, body)
  end
end

function request()
  at = (at + 1) % streams
  return bodies[at]
end

function done(summary, latency, requests)
  io.write(string.format(
    '{"count": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3,
    summary.errors.status + summary.errors.connect + summary.errors.read +
    summary.errors.write + summary.errors.timeout))
end
