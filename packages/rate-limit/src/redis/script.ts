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

local function state(k, r)
  local s = S[k]
  if s then return s end
  local kind = kinds[r.kind]
  s = kind.open(values[k], r, KEYS[k])
  if s then
    kind.advance(s, r, now)
    S[k] = s
  end
  return s
end

-- the demands of a command, numbers a demand from list[i] on: key, rule, cost, what was reserved
local function demands(i, count, width)
  local found = {}
  for d = 1, count do
    local at = i + (d - 1) * width
    local r = rules[list[at + 1]]
    local s = state(list[at], r)
    if not s then return nil end
    found[d] = { s, r, kinds[r.kind], list[at], width > 2 and list[at + 2] or 0, width > 3 and list[at + 3] or 0 }
  end
  return found
end

local function change(found)
  for d = 1, #found do dirty[found[d][4]] = found[d][2] end
end

-- levels is given for what asks: nil where a wait has no meaning
local function answer(found, count, done, granted, levels)
  out[n + 1], out[n + 2] = found and done or -1, granted
  n = n + 2
  for d = 1, count do
    local f = found and found[d]
    local left = f and f[3].left(f[1], f[2]) or 0
    out[n + 1], out[n + 2] = left, f and levels ~= nil and done == 0 and f[3].wait(f[1], f[2], f[5]) or 0
    n = n + 2
    if levels then
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

local doing = {
  [1] = function(i)
    local flags, id, count = list[i], list[i + 1], list[i + 2]
    local found = demands(i + 3, count, 3)
    local fits = 1
    for d = 1, found and count or 0 do
      local f = found[d]
      if f[3].wait(f[1], f[2], f[5]) ~= 0 then fits = 0 end
    end
    if found and fits == 1 and flags % 2 == 1 then
      for d = 1, count do
        local f = found[d]
        f[3].take(f[1], f[2], f[5])
        if id ~= 0 then f[3].hold(f[1], f[2], f[5], id) end
      end
      change(found)
    end
    answer(found, count, fits, 0, flags >= 2)
    return i + 3 + count * 3
  end,
  [2] = function(i)
    local id, taken, mark, count = list[i], list[i + 1], list[i + 2], list[i + 3]
    local found = demands(i + 4, count, 4)
    if found and once(mark) then
      for d = 1, count do
        local f = found[d]
        f[3].settle(f[1], f[2], f[6], f[5], taken)
        if f[3].held and f[3].held(f[1], id) then
          f[1][1] = f[1][1] - 1
          f[1][2][id] = nil
          f[1][3][id] = true
        end
      end
      change(found)
    end
    answer(found, count, 1, 0)
    return i + 4 + count * 4
  end,
  [3] = function(i)
    local id, count = list[i], list[i + 1]
    local found = demands(i + 2, count, 2)
    local done = 1
    for d = 1, found and count or 0 do
      local f = found[d]
      if f[3].held then
        if f[3].held(f[1], id) then
          f[1][2][id] = now + f[2].lease
          dirty[f[4]] = f[2]
        else done = 0 end
      end
    end
    answer(found, count, done, 0)
    return i + 2 + count * 2
  end,
  [4] = function(i)
    local mark, count = list[i], list[i + 1]
    local found = demands(i + 2, count, 3)
    if found and once(mark) then
      for d = 1, count do
        local f = found[d]
        f[3].refund(f[1], f[2], f[5])
      end
      change(found)
    end
    answer(found, count, 1, 0)
    return i + 2 + count * 3
  end,
  [5] = function(i)
    local count = list[i]
    for d = 1, count do
      local k, r = list[i + d * 2 - 1], rules[list[i + d * 2]]
      if r.kind == 'c' then S[k] = { 0, {}, {}, true, KEYS[k] }
      else
        S[k] = kinds[r.kind].open(false, r)
        kinds[r.kind].advance(S[k], r, now)
      end
      dirty[k], gone[k] = nil, true
    end
    answer(demands(i + 1, count, 2), count, 1, 0)
    return i + 1 + count * 2
  end,
  [6] = function(i)
    local mark, taken, used = list[i], list[i + 1], list[i + 2]
    local found = demands(i + 3, 1, 4)
    local granted = 0
    if found then
      local s, r, wanted, reserved = found[1][1], found[1][2], found[1][5], found[1][6]
      if reserved > 0 and once(mark) then bucket.settle(s, r, reserved, used, taken) end
      granted = min(wanted, floor(bucket.left(s, r) / 4))
      if granted > 0 then
        bucket.take(s, r, granted)
        bucket.hold(s, r, granted)
      end
      change(found)
    end
    answer(found, 1, granted > 0 and 1 or 0, granted)
    return i + 7
  end,
}

local i = 1
while i <= #list do i = doing[list[i]](i + 1) end
for k in pairs(gone) do redis.call('DEL', KEYS[k]) end
for k, r in pairs(dirty) do kinds[r.kind].save(S[k], r, KEYS[k]) end
for mark in pairs(marks) do redis.call('SET', KEYS[mark], '1', 'PX', 600000) end
return out
`;
