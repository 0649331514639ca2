-- What benches/load.py has wrk send: arguments are the HTTP method, a file of cookies (one student
-- a line) and a file of bodies. "@" in a body becomes a submission id that was never sent before.
local cookies, bodies, method, run
local sent = 0
local headers = { ["Accept"] = "application/json" }

local function lines(path)
  local found = {}
  for line in io.lines(path) do
    found[#found + 1] = line
  end
  return found
end

function init(args)
  method, run = args[1], args[4]
  cookies, bodies = lines(args[2]), lines(args[3])
  if method == "POST" then
    headers["Content-Type"] = "application/json"
  end
end

function request()
  sent = sent + 1
  local student, round = sent % #cookies, math.floor(sent / #cookies)
  headers["Cookie"] = cookies[student + 1]
  -- In each round another one, otherwise each student would answer the same questions again.
  local body = bodies[(student + round) % #bodies + 1]
  if body then
    body = body:gsub("@", run .. sent, 1)
  end
  return wrk.format(method, nil, headers, body)
end

function done(summary, latency, _requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(
    string.format(
      '{"calls": %d, "seconds": %f, "p50": %f, "p99": %f, "failed": %d}\n',
      summary.requests,
      summary.duration / 1e6,
      latency:percentile(50) / 1e3,
      latency:percentile(99) / 1e3,
      failed
    )
  )
end
