/**
 * The rules in Lua: for each kind how a state is read (`open`, nil for one that is none of ours), brought to a time, asked, changed and
 * written. A state is a list of numbers. They see `now`, and what the script names before it.
 */
export const rules = `
-- more than any amount or instant of ours
local too_much = 9007199254740992

-- the same share of another limit: where more is let through than before, no less is left
local function scaled(used, from, to)
  local share = ceil(used * to / from)
  return to >= from and used <= from and min(share, used + to - from) or share
end

-- bucket: used, at, token, capacity, version, spell length, spell, held, held before
local function spent(s, r, to)
  if to < s[2] then return s[1] == 0 and 0 or min(max(s[1], r.capacity), s[1] + (s[2] - to) * r.per_us) end
  return max(s[8] + s[9], s[1] - (to - s[2]) * r.per_us)
end

local function advance_bucket(s, r, to)
  if s[8] + s[9] > 0 then
    local current = floor(to / r.spell)
    if current < s[7] - 1 then s[7] = current end
    while current > s[7] do
      local stop = (s[7] + 1) * r.spell
      if stop > s[2] then
        s[1] = spent(s, r, stop)
        s[2] = stop
      end
      s[9] = s[8]
      s[8] = 0
      s[7] = s[9] == 0 and current or s[7] + 1
    end
  end
  s[1] = spent(s, r, to)
  s[2] = to
end

local function open_bucket(v, r)
  if not v then return { 0, 0, r.token, r.capacity, r.version, r.spell, 0, 0, 0 } end
  if #v ~= 40 and #v ~= 72 then return nil end
  local s = { unpack_('<ddddd', v) }
  s[6], s[7], s[8], s[9] = r.spell, 0, 0, 0
  if #v == 72 then s[6], s[7], s[8], s[9] = unpack_('<dddd', v, 41) end
  if not (s[1] >= 0 and s[2] >= 0 and s[3] >= 1 and s[4] >= 1 and s[5] >= 0 and s[7] >= 0 and s[8] >= 0 and s[9] >= 0) then return nil end
  if max(s[1], s[2], s[3], s[4], s[5], s[7], s[8], s[9]) > too_much then return nil end
  local carry = r.version > s[5] and r.carry or 'kept'
  if carry == 'reset' then return { 0, 0, r.token, r.capacity, r.version, r.spell, 0, 0, 0 } end
  if s[3] ~= r.token or s[4] ~= r.capacity or s[6] ~= r.spell then
    local held = s[8] + s[9]
    if held > 0 then s[7], s[8], s[9] = floor(now / r.spell), ceil(held / s[3] * r.token), 0 end
    if s[3] ~= r.token or s[4] ~= r.capacity then
      local left = r.capacity / r.token < s[4] / s[3] and 0 or floor((s[4] - s[1]) / s[3])
      local most = carry == 'kept' and math.huge or s[1] > s[4] and r.floor or r.capacity - left * r.token
      s[1] = min(ceil(carry == 'proportional' and s[1] / s[4] * r.capacity or s[1] / s[3] * r.token), most)
    end
    s[3], s[4], s[6] = r.token, r.capacity, r.spell
  end
  s[5] = max(s[5], r.version)
  return s
end

local function within(s, r, room)
  return s[1] <= room and 0 or ceil((s[1] - room) / r.per_us)
end

local bucket = {
  open = open_bucket,
  advance = advance_bucket,
  wait = function(s, r, cost)
    if cost > r.most then return -1 end
    return within(s, r, r.capacity - cost * r.token)
  end,
  take = function(s, r, cost) s[1] = s[1] + cost * r.token end,
  hold = function(s, r, cost)
    if s[8] + s[9] == 0 then s[7] = floor(now / r.spell) end
    s[8] = s[8] + cost * r.token
  end,
  settle = function(s, r, reserved, actual, taken)
    local age = s[7] - floor(taken / r.spell)
    local open = (age == 0 or age == 1) and s[8 + age] >= reserved * r.token
    if open then s[8 + age] = s[8 + age] - reserved * r.token end
    local exact = s[1] + (actual - reserved) * r.token
    if actual > reserved then s[1] = max(s[1], min(exact, r.floor))
    elseif open then s[1] = max(s[8] + s[9], exact) end
  end,
  refund = function(s, r, cost) s[1] = max(s[8] + s[9], s[1] - cost * r.token) end,
  left = function(s, r) return max(0, floor((r.capacity - s[1]) / r.token)) end,
  more = function(s, r, left) return left == r.most and 0 or within(s, r, r.capacity - (left + 1) * r.token) end,
  full = function(s, r) return within(s, r, 0) end,
  save = function(s, r, key)
    local held = s[8] + s[9]
    local idle = ceil(s[1] / r.per_us / 1000) + (held > 0 and ceil(r.spell / 500) or 0) + spare
    local v = pack('<ddddd', s[1], s[2], s[3], s[4], s[5])
    if held > 0 then v = v .. pack('<dddd', s[6], s[7], s[8], s[9]) end
    redis.call('SET', key, v, 'PX', idle)
  end,
}

-- sliding window: length of a part, parts, most, version, newest part, sum, then a count a part
local function advance_window(s, to)
  local us, parts, newest = s[1], s[2], s[5]
  local current = floor(to / us)
  if current > newest then
    for part = current - min(current - newest, parts) + 1, current do
      local place = 7 + part % parts
      s[6] = s[6] - s[place]
      s[place] = 0
    end
    s[5] = current
  elseif newest - current >= parts then
    for place = 7, 6 + parts do s[place] = 0 end
    s[5] = current
    s[7 + current % parts] = s[6]
  end
end

local function new_window(r, newest)
  local s = { r.part, r.parts, r.most, r.version, newest, 0 }
  for place = 7, 6 + r.parts do s[place] = 0 end
  return s
end

local function count(s, part, cost)
  local place = 7 + part % s[2]
  s[place] = s[place] + cost
  s[6] = s[6] + cost
end

local function window_wait(s, cost, most)
  local over = s[6] + cost - most
  if over <= 0 then return 0 end
  local part = s[5] - s[2]
  while over > 0 and part < s[5] do
    part = part + 1
    over = over - s[7 + part % s[2]]
  end
  return (part + s[2]) * s[1] - now
end

-- errors with what is no list of numbers
local function read_window(v)
  local s = cmsgpack.unpack(v)
  local sum = 0
  for place = 7, 6 + s[2] do sum = sum + s[place] end
  local good = #s == 6 + s[2] and sum == s[6] and s[1] >= 1 and s[2] >= 1 and s[3] >= 1 and s[4] >= 0 and s[5] >= 0
  return good and max(s[1], s[3], s[4], s[5], sum) <= too_much and s
end

local window = {
  open = function(v, r)
    if not v then return new_window(r, 0) end
    local good, s = pcall(read_window, v)
    if not good or not s then return nil end
    local carry = r.version > s[4] and r.carry or 'kept'
    if carry == 'reset' then return new_window(r, floor(now / r.part)) end
    if s[1] ~= r.part or s[2] ~= r.parts or s[3] ~= r.most then
      advance_window(s, now)
      local old = s
      local function share(used) return carry == 'proportional' and scaled(used, old[3], r.most) or used end
      if s[1] ~= r.part or s[2] ~= r.parts then
        s = new_window(r, floor(now / r.part))
        count(s, s[5], share(old[6]))
      else
        s = new_window(r, old[5])
        local sum = 0
        for part = old[5], old[5] - r.parts + 1, -1 do
          sum = sum + old[7 + part % r.parts]
          count(s, part, share(sum) - s[6])
        end
      end
      s[4] = old[4]
    end
    s[4] = max(s[4], r.version)
    return s
  end,
  advance = function(s, r, to) advance_window(s, to) end,
  wait = function(s, r, cost)
    if cost > r.most then return -1 end
    return window_wait(s, cost, r.most)
  end,
  take = function(s, r, cost) count(s, s[5], cost) end,
  hold = function() end,
  settle = function(s, r, reserved, actual, taken)
    local part = floor(taken / r.part)
    if actual > reserved then count(s, s[5], max(0, min(actual - reserved, 2 * r.most - s[6])))
    elseif part <= s[5] and part > s[5] - r.parts then count(s, part, -min(reserved - actual, s[7 + part % r.parts])) end
  end,
  refund = function(s, r, cost)
    for part = s[5] - r.parts + 1, s[5] do
      local given = min(cost, s[7 + part % r.parts])
      count(s, part, -given)
      cost = cost - given
    end
  end,
  left = function(s, r) return max(0, r.most - s[6]) end,
  more = function(s, r, left) return left == r.most and 0 or window_wait(s, left + 1, r.most) end,
  full = function(s, r) return s[6] == 0 and 0 or window_wait(s, r.most, r.most) end,
  save = function(s, r, key) redis.call('SET', key, cmsgpack.pack(s), 'PX', ceil(((s[5] + s[2]) * s[1] - now) / 1000) + spare) end,
}

-- calendar quota: start, used, most, version, unit, zone, end; the rule brings the period of the present, the one before and two after it
local function period_end(s, r)
  for i = 1, #r.periods - 1 do
    if r.periods[i] == s[1] then return r.periods[i + 1] end
  end
  return s[1] + r.periods[3] - r.periods[2]
end

local quota = {
  open = function(v, r)
    if not v then return { 0, 0, r.most, r.version, r.unit, r.zone, 0 } end
    if #v ~= 56 then return nil end
    local s = { unpack_('<ddddddd', v) }
    if not (s[1] >= 0 and s[2] >= 0 and s[3] >= 1 and s[4] >= 0) or max(s[1], s[2], s[3], s[4]) > too_much then return nil end
    local carry = r.version > s[4] and r.carry or 'kept'
    if carry == 'reset' or s[3] ~= r.most or s[5] ~= r.unit or s[6] ~= r.zone then
      if carry == 'reset' or now >= s[7] then s[2] = 0 end
      if carry == 'proportional' then s[2] = scaled(s[2], s[3], r.most) end
      s[1] = s[1] >= r.periods[3] and s[1] < r.periods[4] and r.periods[3] or r.periods[2]
      s[3], s[5], s[6] = r.most, r.unit, r.zone
    end
    s[4] = max(s[4], r.version)
    return s
  end,
  advance = function(s, r)
    if r.periods[2] > s[1] then s[1], s[2] = r.periods[2], 0
    elseif s[1] > r.periods[3] then s[1] = r.periods[2] end
  end,
  wait = function(s, r, cost)
    if cost > r.most then return -1 end
    return s[2] + cost <= r.most and 0 or period_end(s, r) - now
  end,
  take = function(s, r, cost) s[2] = s[2] + cost end,
  hold = function() end,
  settle = function(s, r, reserved, actual, taken)
    if actual > reserved then s[2] = max(s[2], min(s[2] + actual - reserved, 2 * r.most))
    elseif taken >= s[1] and taken < period_end(s, r) then s[2] = max(0, s[2] + actual - reserved) end
  end,
  refund = function(s, r, cost) s[2] = max(0, s[2] - cost) end,
  left = function(s, r) return max(0, r.most - s[2]) end,
  more = function(s, r) return s[2] == 0 and 0 or period_end(s, r) - now end,
  full = function(s, r) return s[2] == 0 and 0 or period_end(s, r) - now end,
  save = function(s, r, key)
    redis.call('SET', key, pack('<ddddddd', s[1], s[2], s[3], s[4], s[5], s[6], period_end(s, r)), 'PX', ceil(max(1, period_end(s, r) - now) / 1000) + spare)
  end,
}

-- calls at once: how many, leases to add, leases to end, whether all that was kept is forgotten
local running = {
  open = function(v, r, key)
    local count = redis.pcall('ZCOUNT', key, '(' .. string.format('%.0f', now), '+inf')
    if type(count) ~= 'number' then return nil end
    return { count, {}, {}, false, key }
  end,
  advance = function() end,
  wait = function(s, r) return s[1] < r.most and 0 or r.again end,
  take = function(s) s[1] = s[1] + 1 end,
  hold = function(s, r, cost, id) s[2][id], s[3][id] = now + r.lease, nil end,
  held = function(s, id)
    if s[2][id] then return true end
    if s[4] or s[3][id] then return false end
    local score = redis.call('ZSCORE', s[5], id)
    return score and tonumber(score) > now
  end,
  settle = function() end,
  refund = function() end,
  left = function(s, r) return max(0, r.most - s[1]) end,
  more = function(s, r) return s[1] == 0 and 0 or r.again end,
  full = function(s, r) return s[1] == 0 and 0 or r.again end,
  save = function(s, r, key)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
    for id in pairs(s[3]) do redis.call('ZREM', key, id) end
    for id, stop in pairs(s[2]) do redis.call('ZADD', key, string.format('%.0f', stop), id) end
    local idle = ceil(r.lease / 1000) + spare
    if redis.call('PTTL', key) < idle then redis.call('PEXPIRE', key, idle) end
  end,
}
`;
