import { rules } from './rules.ts';

/**
 * Does a batch of commands in the order given, by the arithmetic of the rules: a number of Lua is a number of JavaScript.
 *
 * KEYS: the states, then the marks of what must happen once. ARGV[1], as JSON: the time in µs or 0 for the server's, the rules, how many
 * of KEYS are states, and the commands as one list of numbers and ids. Answers with the time and then, for each command, 1 or 0 for whether
 * it was done (-1: a state is none of ours), what was granted, and for each limit what is left and the wait (-1: never), and where asked
 * for, in how many µs more fits, and all of it.
 *
 * All states are read before the first is written, and only those that changed are.
 */
export const script = `
local ask = cjson.decode(ARGV[1])
local now, rules, states, list = ask[1], ask[2], ask[3], ask[4]
local spare = now == 0 and 1000 or 600000 -- a time that is given may stand still
if now == 0 then
  local t = redis.call('TIME')
  now = tonumber(t[1]) * 1000000 + tonumber(t[2])
end
local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max
local pack, unpack_ = struct.pack, struct.unpack
for i = 1, #rules do
  local periods = rules[i].periods
  if periods and (now < periods[2] or now >= periods[3]) then return { now } end
end
local values = redis.call('MGET', unpack(KEYS))
local S = {}
local out, n = { now }, 1
${rules}
local kinds = { b = bucket, w = window, q = quota, c = running }
local dirty, gone, marks = {}, {}, {}

-- what nearly every state is: a bucket under the rule that it was left under, with nothing reserved
local function plain_bucket(k, r)
  local v = values[k]
  if not v or #v ~= 40 then return nil end
  local used, at, token, capacity, version = unpack_('<ddddd', v)
  if token ~= r.token or capacity ~= r.capacity or version < r.version or at > now then return nil end
  local s = { max(0, used - (now - at) * r.per_us), now, token, capacity, version, r.spell, 0, 0, 0 }
  S[k] = s
  return s
end

local function state(k, r)
  local s = S[k] or r.token and plain_bucket(k, r)
  if s then return s end
  local kind = kinds[r.kind]
  s = kind.open(values[k], r, KEYS[k])
  if s then
    kind.advance(s, r, now)
    S[k] = s
  end
  return s
end

-- the demands of a command, from list[i] on; nil where a state is none of ours
local function demands(i, count)
  local found = {}
  for d = 1, count do
    local at = i + d * 4 - 4
    local r = rules[list[at + 1]]
    local s = state(list[at], r)
    if not s then return nil end
    found[d] = { s, r, kinds[r.kind], list[at], list[at + 2], list[at + 3] }
  end
  return found
end

local function change(found)
  for d = 1, #found do dirty[found[d][4]] = found[d][2] end
end

-- flags are those of what asks: a wait has a meaning, and more may be wanted
local function answer(found, count, done, granted, flags)
  out[n + 1], out[n + 2] = done, granted
  n = n + 2
  for d = 1, count do
    local f = found and found[d]
    local left = f and f[3].left(f[1], f[2]) or 0
    out[n + 1], out[n + 2] = left, flags and done == 0 and f[3].wait(f[1], f[2], f[5]) or 0
    n = n + 2
    if flags and flags >= 2 then
      out[n + 1], out[n + 2] = f and f[3].more(f[1], f[2], left) or 0, f and f[3].full(f[1], f[2]) or 0
      n = n + 2
    end
  end
end

-- whether this is the first time that a mark is seen
local function once(mark)
  if mark == 0 then return true end
  mark = states - mark
  if marks[mark] or values[mark] then return false end
  marks[mark] = true
  return true
end

-- what each command does with its demands; answers whether it was done, and what was granted
local doing = {
  [1] = function(found, flags, id)
    local fits, has = 1, {}
    for d = 1, #found do
      local f = found[d]
      if f[3].wait(f[1], f[2], f[5]) ~= 0 then
        -- of a call that was sent twice, the place that it has already is not in its way
        has[d] = id ~= 0 and flags % 2 == 1 and f[3].held and f[3].held(f[1], id)
        if not has[d] then fits = 0 end
      end
    end
    if fits == 1 and flags % 2 == 1 then
      for d = 1, #found do
        local f = found[d]
        if not has[d] then
          f[3].take(f[1], f[2], f[5])
          if id ~= 0 then f[3].hold(f[1], f[2], f[5], id) end
        end
      end
      change(found)
    end
    return fits, 0
  end,
  [2] = function(found, taken, id, mark)
    if not once(mark) then return 1, 0 end
    for d = 1, #found do
      local f = found[d]
      f[3].settle(f[1], f[2], f[6], f[5], taken)
      if f[3].held and f[3].held(f[1], id) then
        f[1][1] = f[1][1] - 1
        f[1][2][id] = nil
        f[1][3][id] = true
      end
    end
    change(found)
    return 1, 0
  end,
  [3] = function(found, _, id)
    local done = 1
    for d = 1, #found do
      local f = found[d]
      if f[3].held then
        if f[3].held(f[1], id) then
          f[1][2][id] = now + f[2].lease
          dirty[f[4]] = f[2]
        else done = 0 end
      end
    end
    return done, 0
  end,
  [4] = function(found, _, _, mark)
    if not once(mark) then return 1, 0 end
    for d = 1, #found do
      local f = found[d]
      f[3].refund(f[1], f[2], f[5])
    end
    change(found)
    return 1, 0
  end,
  [6] = function(found, taken, used, mark)
    local s, r, wanted, reserved = found[1][1], found[1][2], found[1][5], found[1][6]
    if reserved > 0 and once(mark) then bucket.settle(s, r, reserved, used, taken) end
    local granted = min(wanted, floor(bucket.left(s, r) / 4))
    if granted > 0 then
      bucket.take(s, r, granted)
      bucket.hold(s, r, granted)
    end
    change(found)
    return granted > 0 and 1 or 0, granted
  end,
}
doing[5] = function() return 1, 0 end

local function forget(i, count)
  for at = i, i + count * 4 - 4, 4 do
    local k, r = list[at], rules[list[at + 1]]
    if r.kind == 'c' then S[k] = { 0, {}, {}, true, KEYS[k] }
    else
      S[k] = kinds[r.kind].open(false, r)
      kinds[r.kind].advance(S[k], r, now)
    end
    dirty[k], gone[k] = nil, true
  end
end

-- runs of plain takes by the same limits: how many, and for each limit its key and cost; answered is how many of them were let through (-1: a
-- state is none of ours), and for each limit what is left then and the wait of those that were not
local function takes(limits)
  local count = #limits
  local R, K, F = {}, {}, {}
  for d = 1, count do
    R[d] = rules[limits[d]]
    K[d] = kinds[R[d].kind]
  end
  for i = 1, #list, count * 2 + 1 do
    local times = list[i]
    local fits = times
    for d = 1, count do
      local k, cost, r = list[i + d * 2 - 1], list[i + d * 2], R[d]
      local s = S[k] or state(k, r)
      F[d] = s
      if not s then fits = -1
      elseif fits > 0 then
        if K[d].wait(s, r, cost) ~= 0 then fits = 0
        elseif cost > 0 then fits = min(fits, floor(K[d].left(s, r) / cost)) end
      end
    end
    out[n + 1] = fits
    n = n + 1
    for d = 1, count do
      local k, cost, s, r = list[i + d * 2 - 1], list[i + d * 2], F[d], R[d]
      if fits > 0 then
        K[d].take(s, r, cost * fits)
        dirty[k] = r
      end
      out[n + 1], out[n + 2] = s and K[d].left(s, r) or 0, s and fits < times and K[d].wait(s, r, cost) or 0
      n = n + 2
    end
  end
end

if #ask[5] > 0 then
  takes(ask[5])
  list = {}
end
local i = 1
while i <= #list do
  local op, how, count = list[i], list[i + 1], list[i + 4]
  if op == 5 then forget(i + 5, count) end
  local found = demands(i + 5, count)
  local done, granted = -1, 0
  if found then done, granted = doing[op](found, how, list[i + 2], list[i + 3]) end
  answer(found, count, done, granted, op == 1 and how)
  i = i + 5 + count * 4
end
for k in pairs(gone) do redis.call('DEL', KEYS[k]) end
for k, r in pairs(dirty) do kinds[r.kind].save(S[k], r, KEYS[k]) end
for mark in pairs(marks) do redis.call('SET', KEYS[mark], '1', 'PX', 600000) end
return out
`;
