"""The two scripts by which replicas keep limits in Redis, and how their words are written.

A limiter is a hash: a field for each replica, with what that replica spent and reserved, and one
for each of the two buckets. A replica only ever writes sums of its own, so that writing twice, or
after Redis lost everything, is right. Money is two numbers below 10**12 and above, for a script
counts in doubles; a bucket's debt is in amounts times the microseconds of a minute.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

from gateway.access.budgets import MILLIONTHS
from gateway.access.limits import Demand, Limiter
from gateway.access.sharing import Debts, Holdings
from relay_mining import value_class

BASE = 10**12
US_NS = 1000
SETTLE_US = 3_000_000
"""How long nothing is decided by a Redis that has just begun: so long all may take to come back."""
SILENT_US = 600_000_000
"""How long what a replica that says nothing had reserved is held for it."""
REPEAT_US = SILENT_US // 4
"""How often a replica says again what it has reserved: some requests take longer than that."""
KEPT_S = 40 * 86_400
UNSETTLED, REFUSED, ADMITTED, ABSENT = b"0", b"1", b"2", b"3"
NONE = -1
Words = list[int | str]
"""What a script is told."""
STATE_WORDS = 14

_COMMON = """
local BASE, MINUTE = 1000000000000, 60000000
local function clock(given)
  if tonumber(given) > 0 then return tonumber(given) end
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function text(number) return string.format('%.0f', number) end
local function drained(raw, limit, now)
  if not raw then return 0 end
  local debt, at = unpack(cmsgpack.unpack(raw))
  return math.max(0, debt - limit * math.max(0, now - at))
end
"""

PUBLISH = (
    _COMMON
    + """
local now, a = clock(ARGV[1]), {}
for i = 3, 10 do a[i - 2] = tonumber(ARGV[i]) end
a[9] = now
redis.call('HSET', KEYS[1], ARGV[2], cmsgpack.pack(a))
local limit = tonumber(ARGV[11])
if limit >= 0 and #ARGV > 12 then
  local debt = drained(redis.call('HGET', KEYS[1], 'tokens'), limit, now)
  for i = 13, #ARGV, 2 do
    local back = tonumber(ARGV[i]) * MINUTE
    if back > 0 then back = math.min(debt, math.max(0, back - limit * tonumber(ARGV[i + 1]))) end
    debt = debt - back
  end
  redis.call('HSET', KEYS[1], 'tokens', cmsgpack.pack({debt, now}))
end
redis.call('EXPIRE', KEYS[1], ARGV[12])
return 1
"""
)
"""KEYS: a limiter. ARGV: clock or 0, replica, day, today, month, this month, reserved (money in two
words each), tokens a minute, seconds to keep it, then for each request that ended the tokens it
did not use and how many microseconds ago it took them."""

ADMIT = (
    _COMMON
    + """
local now = clock(ARGV[1])
local settle, silent, me = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local day, month, tokens = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local hi, lo = tonumber(ARGV[8]), tonumber(ARGV[9])
local born = redis.call('GET', KEYS[1])
if not born then
  born = text(now)
  redis.call('SET', KEYS[1], born)
end
if now - tonumber(born) < settle then return {born, '0'} end

local function over(spent, state, mine, at, bhi, blo)
  if bhi < 0 then return false end
  local h = spent[1] + mine[at] + state.reserved[1] + mine[7] + hi
  local l = spent[2] + mine[at + 1] + state.reserved[2] + mine[8] + lo
  h, l = h + math.floor(l / BASE), l % BASE
  return h > bhi or (h == bhi and l > blo)
end
local function blocked(debt, amount, limit)
  return limit >= 0 and (amount > limit or debt > (limit - amount) * MINUTE)
end
local function add(sum, entry, at)
  sum[1], sum[2] = sum[1] + entry[at], sum[2] + entry[at + 1]
end

local states, said = {}, '2'
for i = 2, #KEYS do
  local a = 9 + (i - 2) * 6
  local state = {rpm = tonumber(ARGV[a + 1]), tpm = tonumber(ARGV[a + 2]), requests = 0, tokens = 0,
    today = {0, 0}, month = {0, 0}, reserved = {0, 0}}
  local raw = redis.call('HGETALL', KEYS[i])
  for j = 1, #raw, 2 do
    if raw[j] == 'requests' then
      state.requests = drained(raw[j + 1], math.max(0, state.rpm), now)
    elseif raw[j] == 'tokens' then
      state.tokens = drained(raw[j + 1], math.max(0, state.tpm), now)
    else
      local entry = cmsgpack.unpack(raw[j + 1])
      if entry[1] < day then entry[2], entry[3] = 0, 0 end
      if entry[4] < month then entry[5], entry[6] = 0, 0 end
      if raw[j] == me then
        state.mine = entry
      else
        if now - entry[9] > silent then entry[7], entry[8] = 0, 0 end
        add(state.today, entry, 2)
        add(state.month, entry, 5)
        add(state.reserved, entry, 7)
      end
    end
  end
  local mine = state.mine
  if not mine then return {born, '3'} end
  if blocked(state.requests, 1, state.rpm) or blocked(state.tokens, tokens, state.tpm)
    or over(state.today, state, mine, 2, tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4]))
    or over(state.month, state, mine, 5, tonumber(ARGV[a + 5]), tonumber(ARGV[a + 6])) then
    said = '1'
  end
  states[i] = state
end

local reply = {born, said}
for i = 2, #KEYS do
  local state = states[i]
  if said == '2' then
    local mine = state.mine
    mine[7], mine[8], mine[9] = mine[7] + hi, mine[8] + lo, now
    redis.call('HSET', KEYS[i], me, cmsgpack.pack(mine))
    if state.rpm >= 0 then
      state.requests = state.requests + MINUTE
      redis.call('HSET', KEYS[i], 'requests', cmsgpack.pack({state.requests, now}))
    end
    if state.tpm >= 0 then
      state.tokens = state.tokens + tokens * MINUTE
      redis.call('HSET', KEYS[i], 'tokens', cmsgpack.pack({state.tokens, now}))
    end
  end
  local mine = state.mine
  for _, each in ipairs({state.requests, state.tokens, state.today[1], state.today[2],
    state.month[1], state.month[2], state.reserved[1], state.reserved[2],
    mine[2], mine[3], mine[5], mine[6], mine[7], mine[8]}) do
    reply[#reply + 1] = text(each)
  end
end
return reply
"""
)
"""KEYS: when this Redis began, then the limiters. ARGV: clock or 0, the two bounds above, replica,
day, month, tokens, cost in two words, then for each limiter requests and tokens a minute, the daily
and the monthly budget in two words each. All or nothing is taken. The reply: when it began, one of
the four words above, then for each limiter two debts, and what the others and this one have, in two
words each.
"""


@value_class
class Seen:
    """What `ADMIT` saw of one limiter."""

    debts: Debts
    others: Holdings
    mine: Holdings


@value_class
class Verdict:
    """What `ADMIT` said."""

    born: bytes
    word: bytes
    seen: tuple[Seen, ...] = ()
    """Of each limiter, what has been taken, this request included where it was admitted."""


def split(money: int) -> tuple[int, int]:
    """Money in two words."""
    return divmod(money, BASE)


def publish_arguments(
    limiter: Limiter, replica: str, unused: Iterable[tuple[int, int]], clock_us: int
) -> Words:
    """What `PUBLISH` is told; `unused` are tokens and microseconds."""
    mine, rate = limiter.spending, limiter.limits.tokens_per_minute
    return [
        clock_us, replica,
        mine.day_ends, *split(mine.today), mine.month_ends, *split(mine.this_month),
        *split(mine.reserved), NONE if rate is None else rate, KEPT_S, *chain.from_iterable(unused),
    ]  # fmt: skip


def admit_arguments(
    limiters: Sequence[Limiter], replica: str, demand: Demand, stamps: tuple[int, int],
    clock_us: int,
) -> Words:  # fmt: skip
    """What `ADMIT` is told; `stamps` are the ends of the day and of the month."""
    words: Words = [
        clock_us, SETTLE_US, SILENT_US, replica, *stamps, demand.tokens, *split(demand.cost)
    ]  # fmt: skip
    for each in limiters:
        limits = each.limits
        words += [
            NONE if rate is None else rate
            for rate in (limits.requests_per_minute, limits.tokens_per_minute)
        ]
        for budget in (limits.daily_budget, limits.monthly_budget):
            words += (NONE, 0) if budget is None else split(budget * MILLIONTHS)
    return words


def read_verdict(reply: Sequence[bytes]) -> Verdict:
    """What `ADMIT` replied."""
    born, word, *rest = reply
    numbers = [int(each) for each in rest]
    return Verdict(
        born,
        word,
        tuple(
            _read_state(numbers[at : at + STATE_WORDS])
            for at in range(0, len(numbers), STATE_WORDS)
        ),
    )


def _read_state(words: Sequence[int]) -> Seen:
    requests, tokens, *money = words
    sums = [money[at] * BASE + money[at + 1] for at in range(0, len(money), 2)]
    debts = Debts(requests * US_NS, tokens * US_NS)
    return Seen(debts, Holdings(*sums[:3]), Holdings(*sums[3:]))
