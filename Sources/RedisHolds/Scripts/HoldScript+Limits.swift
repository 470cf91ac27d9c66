/// Request limits of a key and of its account.
///
/// A bucket, `l:…` = ms|used|limit, holds what is used of a limit per minute in 1/60000 of a request or token. So a
/// limit of n per minute drains n of them per millisecond: the refill is continuous, and all figures are integers
/// below 2^53 (`RequestLimits.range`). Streams are the open holds that came under limits: `c` and `c:<key>` count them, so
/// that PLACE need not look at each hold; INIT counts them again.
extension HoldScript {
    /// Local functions that come before every script.
    static let limitLibrary = """
        -- What is used of a bucket now, and the time of that; never back.
        local function drained(bucket, limit, ms)
          local at, used = string.match(bucket or '', '^(%d+)|(%d+)|')
          if not at then return 0, ms end
          local last = math.max(tonumber(at), ms)
          local passed = math.min(last - tonumber(at), 60000)
          return math.max(0, math.min(tonumber(used), limit * 60000) - passed * limit), last
        end

        -- Tokens that were counted for a hold and not used are free again; more than were counted are taken.
        local function correct_tokens(hold, used)
          local key, counted = string.match(hold, '^%d+|%d+|[^|]*|%d+|%d+,(%d+),(%d+)[,|]')
          if not counted then return end
          local more, ms = (tonumber(used) - tonumber(counted)) * 60000, now()
          for _, name in ipairs({'l:t:' .. key, 'l:t'}) do
            local bucket = redis.call('HGET', k, name)
            local limit = bucket and string.match(bucket, '%d+$')
            if limit then
              local left, at = drained(bucket, tonumber(limit), ms)
              redis.call('HSET', k, name, text(at) .. '|' .. text(math.max(0, left + more)) .. '|' .. limit)
            end
          end
        end

        -- The key whose stream this hold is, or nil. A reaper's is none: its stream ended with its process.
        local function stream_of(hold)
          local owner, key = string.match(hold, '^%d+|%d+|([^|]*)|%d+|%d+,(%d+),')
          if owner and not string.find(owner, '~', 1, true) then return key end
        end
        local function count_stream(hold, by)
          local key = stream_of(hold)
          if not key then return end
          for _, name in ipairs({'c', 'c:' .. key}) do
            if redis.call('HINCRBY', k, name, by) == 0 then redis.call('HDEL', k, name) end
          end
        end

        -- After a minute nothing is left in a bucket. Without this an account whose keys change would grow for ever.
        -- It reads every field, and there are as many as holds and captures: so every ten minutes.
        local function forget_drained(ms)
          local last = redis.call('HGET', k, 'lf')
          if last and ms - tonumber(last) < 600000 then return end
          redis.call('HSET', k, 'lf', text(ms))
          local gone, cursor = {}, '0'
          repeat
            local page = redis.call('HSCAN', k, cursor, 'MATCH', 'l:[rt]:*', 'COUNT', 1000)
            cursor = page[1]
            for j = 1, #page[2], 2 do
              local at = string.match(page[2][j + 1], '^%d+')
              if ms - tonumber(at) >= 60000 then gone[#gone + 1] = page[2][j] end
            end
          until cursor == '0'
          for _, name in ipairs(gone) do redis.call('HDEL', k, name) end
        end

        -- Caps of which 80 % would be spent or held with this grant: 1 request + 2 session + 4 day.
        local function near_caps(request, session, day, grant, H, M, D)
          local mask = 0
          local function consider(cap, used, bit)
            if cap ~= '' and used >= tonumber(cap) - math.floor(tonumber(cap) / 5) then mask = mask + bit end
          end
          consider(request, grant, 1)
          consider(session, (M or 0) + H + grant, 2)
          consider(day, (D or 0) + H + grant, 4)
          return mask
        end

        """

    /// Local functions of PLACE.
    static let placeLimits = """
        -- Checks the limits from ARGV[13] on, and writes nothing: PLACE does, when all else fits.
        -- `which` limit has to be waited for longest, and how many ms (-1 = for ever): 1 requests of the key, 2 tokens
        -- of the key, 3 and 4 of the account, 5 streams of the key, 6 of the account; 0 = all fit.
        -- `now_used`, `then_used`: requests and tokens used of the tightest of key and account, before and after;
        -- of the account as -1 - used. `is_new`: a bucket of this key is made. `writes`: what a grant sets.
        local function check_limits(ms)
          local key, tokens = ARGV[13], tonumber(ARGV[14])
          local limits = {ARGV[15], ARGV[16], ARGV[18], ARGV[19]}
          local names = {'l:r:' .. key, 'l:t:' .. key, 'l:r', 'l:t', 'c', 'c:' .. key}
          local stored = redis.call('HMGET', k, unpack(names))
          local found = {which = 0, wait = 0, writes = {}, now_used = {0, 0}, then_used = {0, 0}}
          local room = {math.huge, math.huge}
          local function refuse(limit, wait)
            if found.wait >= 0 and (wait < 0 or wait > found.wait) then found.which, found.wait = limit, wait end
          end
          for j = 1, 4 do
            if limits[j] ~= '' then
              local limit, kind = tonumber(limits[j]), (j - 1) % 2 + 1
              local used, at = drained(stored[j], limit, ms)
              local need = kind == 1 and 1 or tokens
              local after = used + need * 60000
              if need > limit then
                refuse(j, -1)
              elseif after > limit * 60000 then
                refuse(j, math.ceil(after / limit) - 60000)
              end
              if limit * 60000 - used < room[kind] then
                room[kind] = limit * 60000 - used
                found.now_used[kind] = j > 2 and -1 - used or used
                found.then_used[kind] = j > 2 and -1 - after or after
              end
              if j < 3 and not stored[j] then found.is_new = true end
              found.writes[#found.writes + 1] = names[j]
              found.writes[#found.writes + 1] = text(at) .. '|' .. text(after) .. '|' .. limits[j]
            end
          end
          local of_key, of_account = tonumber(ARGV[17]), tonumber(ARGV[20])
          local all, mine = tonumber(stored[5] or '0'), tonumber(stored[6] or '0')
          if of_key and mine >= of_key then refuse(5, 1000) end
          if of_account and all >= of_account then refuse(6, 1000) end
          -- A hold without a key bears no mark by which its end would know that it was counted.
          if key ~= '0' then
            for j, count in ipairs({all, mine}) do
              found.writes[#found.writes + 1] = names[4 + j]
              found.writes[#found.writes + 1] = text(count + 1)
            end
          end
          return found
        end

        """
}
