/// One Lua script on one key, the hash of an account `a:{<account id>}` (MONEY_PATH F, R1).
///
/// Fields of the hash:
/// - `i` incarnation, `e` epoch
/// - `lg`, `s`, `p` ledger generation, version and posted balance
/// - `gs`, `f`, `blk` gate version, floor, block
/// - `t` second (Redis TIME) of the last granted PLACE, or INIT: how long the account has been idle
/// - `H`, `U` Σ of the open holds, Σ of the captures that are not yet posted
/// - `W` Σ of the open holds that are waived: a part of `H` that caps see and the balance does not
/// - `h:<hold>` amount|deadline ms|owner (`boot`, or `reaper~boot`)|placed ms|input estimate|price id|endpoint|progress
///   (a price id may contain `|`: read the first five from the left, the last two from the right); the estimate of
///   a hold that came under limits is `estimate,key,tokens`, tokens empty when no limit counts them; of one that is
///   waived `0,key,tokens,w`, key and tokens empty without limits
/// - `u:<hold>` amount|`Settlement.encode()`
/// - `g:<loop>` connection generation|second it was raised in: commands of older generations do nothing
/// - `mi`, `m0`…`m60`, `M` spend per minute and its rolling sum, `di`, `D` spend of the UTC day
/// - `l:r`, `l:t`, `l:r:<key>`, `l:t:<key>` requests and tokens of the account and of its keys: ms|used|limit; `lf` ms
///   at which drained ones were last looked for
/// - `c`, `c:<key>` open holds that came under limits, without those that a reaper has; none is written as 0
///
/// Laws of every script (R10): amounts are strings of digits, `-0` is never written, nothing that can fail
/// comes after a write, and where memory is to be freed under OOM the first write is HDEL.
struct HoldScript: Sendable {
    /// Index in `all`, and in a connection's table of digests.
    let index: Int
    let name: StaticString
    let body: String

    /// What is sent to SCRIPT LOAD.
    var source: String { Self.library + self.body }

    static let all: [HoldScript] = [
        place, capture, release, extend, reassert, posted, gate, load, initialize, reap, evict,
    ]

    /// Local functions that come before every script.
    static let library = moneyLibrary + limitLibrary

    private static let moneyLibrary = """
        local k = KEYS[1]

        -- Digits of a number without exponent or fraction; exact below 2^53.
        local function text(n) return string.format('%.0f', n) end

        -- The amount at the front of an h: or u: value, as it was written.
        local function amount_of(value) return string.match(value, '^%d+') end

        local function now()
          local t = redis.call('TIME')
          return t[1] * 1000 + math.floor(t[2] / 1000)
        end

        -- Zero is skipped: '-' .. '0' is no number to HINCRBY, and the rest of the script would be lost.
        local function add(field, amount)
          if amount ~= '0' then redis.call('HINCRBY', k, field, amount) end
        end
        local function subtract(field, amount)
          if amount ~= '0' then redis.call('HINCRBY', k, field, '-' .. amount) end
        end

        -- Who says so, of a capture: its payload is 1;account;hold;owner;kind;authority;… (`SettlementPayload`).
        local function authority_of(capture)
          return tonumber(string.match(capture, '^%d+|%d+;[^;]*;[^;]*;[^;]*;%d+;(%d+);') or '0')
        end
        -- What caps count of a capture: of one that is waived (kind 4) its shadow, which stands at place 19, or at 20
        -- in payloads with parts.
        local function counted_of(capture)
          local version, rest = string.match(capture, '^%d+|(%d+);[^;]*;[^;]*;[^;]*;4;(.*)$')
          if not version then return amount_of(capture) end
          local places = string.rep('[^;]*;', version == '1' and 13 or 14)
          return string.match(rest, '^' .. places .. '(%d+);') or '0'
        end

        -- A hold of which nothing is charged.
        local function is_waived(hold)
          return string.find(hold, '^%d+|%d+|[^|]*|%d+|%d+,%d*,%d*,w|') ~= nil
        end
        -- Its amount leaves the sums.
        local function uncount_hold(hold)
          subtract('H', amount_of(hold))
          if is_waived(hold) then subtract('W', amount_of(hold)) end
        end

        -- Fence (R2): true when a later connection of the same loop has spoken up; then this command has no
        -- effect.
        local function fenced(loop, generation)
          local g = redis.call('HGET', k, 'g:' .. loop)
          return g and tonumber(generation) < tonumber(string.match(g, '^%d+'))
        end
        local function raise_fence(loop, generation, raise)
          if raise == '1' then
            redis.call('HSET', k, 'g:' .. loop, generation .. '|' .. redis.call('TIME')[1])
          end
        end

        -- Compares ledger readings as pairs (generation, version).
        local function newer(generation, version)
          local known = redis.call('HMGET', k, 'lg', 's')
          if not known[2] then return true end
          local a, b = tonumber(generation), tonumber(known[1])
          return a > b or (a == b and tonumber(version) > tonumber(known[2]))
        end

        -- Moves the spend windows up to this time; never back. Returns both sums and the minute reached.
        local function roll(ms)
          local v = redis.call('HMGET', k, 'mi', 'M', 'di', 'D')
          local minute, day = math.floor(ms / 60000), math.floor(ms / 86400000)
          local last, M, D = tonumber(v[1]), tonumber(v[2] or '0'), tonumber(v[4] or '0')
          if not last then
            redis.call('HSET', k, 'mi', text(minute), 'M', text(M))
          elseif minute > last then
            local names = {}
            for j = last + 1, math.min(last + 61, minute) do names[#names + 1] = 'm' .. text(j % 61) end
            for _, spent in ipairs(redis.call('HMGET', k, unpack(names))) do
              if spent then M = M - tonumber(spent) end
            end
            redis.call('HDEL', k, unpack(names))
            redis.call('HSET', k, 'mi', text(minute), 'M', text(M))
          else
            minute = last
          end
          if not v[3] or day > tonumber(v[3]) then
            D = 0
            redis.call('HSET', k, 'di', text(day), 'D', '0')
          end
          return M, D, minute
        end

        -- Counts a charge in the spend windows (A12).
        local function spend(amount)
          if amount == '0' then return end
          local _, _, minute = roll(now())
          redis.call('HINCRBY', k, 'm' .. text(minute % 61), amount)
          redis.call('HINCRBY', k, 'M', amount)
          redis.call('HINCRBY', k, 'D', amount)
        end

        -- Room under the caps ('' = none) beside everything held (H): nil room = no cap; else room, the cap
        -- that is nearest (1 request, 2 session, 3 day), both sums, and the minute of the windows.
        local function cap_room(request, session, day, H, ms)
          if session == '' and day == '' then
            if request == '' then return nil end
            return tonumber(request), 1
          end
          local M, D, minute = roll(ms)
          local room, nearest = math.huge, 0
          local function consider(cap, used, which)
            if cap ~= '' and tonumber(cap) - used < room then room, nearest = tonumber(cap) - used, which end
          end
          consider(request, 0, 1)
          consider(session, M + H, 2)
          consider(day, D + H, 3)
          return room, nearest, M, D, minute
        end

        -- When the nearest cap has room for `need` again, in ms since 1970; 0 = never (a cap of a single
        -- request).
        local function cap_resets(which, need, cap, H, M, minute, ms)
          if which == 1 then return 0 end
          if which == 3 then return (math.floor(ms / 86400000) + 1) * 86400000 end
          for j = minute - 60, minute do
            M = M - tonumber(redis.call('HGET', k, 'm' .. text(j % 61)) or '0')
            if M + H + need <= tonumber(cap) then return (j + 61) * 60000 end
          end
          return (minute + 61) * 60000
        end

        """
}
