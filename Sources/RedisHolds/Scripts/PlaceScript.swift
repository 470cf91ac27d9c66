extension HoldScript {
    /// PLACE (R3). Arguments: epoch, loop, generation, id, want, least, ttl ms, owner boot,
    /// meta (input estimate|price id|endpoint|progress), caps of request, session, day ('' = none); when there are
    /// request limits also key, tokens, then requests and tokens per minute and streams of the key, and of the
    /// account ('' = none).
    ///
    /// Answers integers:
    /// - {0, granted, p − U} and, for an id that is held already, {1, held, p − U}
    /// - {0, granted, p − U, requests used, tokens used, near caps} where there are limits or caps
    /// - {2} captured already · {-1} cold · {-5} fenced
    /// - {-2, available, lg, s, gs} short · {-3, available, lg, s, gs} blocked
    /// - {-4, which cap, ms at which it has room again}
    /// - {-6, which limit, ms until the request fits (-1 = never), requests used, tokens used}
    ///
    /// A waived hold (its meta says so) is granted whatever the balance, which it leaves as it is.
    ///
    /// There is no `raise`: a PLACE is never sent again because of an unknown, it is released.
    static let place = HoldScript(
        index: 0, name: "PLACE",
        body: placeLimits + """
            local epoch, loop, generation, id, want, least, ttl, owner, meta = unpack(ARGV)
            local cap_request, cap_session, cap_day = ARGV[10], ARGV[11], ARGV[12]
            if fenced(loop, generation) then return {-5} end
            local v = redis.call(
              'HMGET', k, 'p', 'H', 'U', 'f', 'blk', 'e', 'h:' .. id, 'u:' .. id, 'lg', 's', 'gs', 'W')
            local p, H = tonumber(v[1] or '0'), tonumber(v[2] or '0')
            local U, f = tonumber(v[3] or '0'), tonumber(v[4] or '0')
            if v[7] then return {1, tonumber(amount_of(v[7])), p - U} end
            if v[8] then return {2} end
            if not v[1] or v[6] ~= epoch then return {-1} end
            -- A release that knows no W ends waived holds without it: it is never more than what is held.
            local available = p - H + math.min(tonumber(v[12] or '0'), H) - U - f
            if v[5] == '1' then
              return {-3, available, tonumber(v[9] or '0'), tonumber(v[10] or '0'), tonumber(v[11] or '0')}
            end

            want, least = tonumber(want), tonumber(least)
            local ms = now()
            local limits
            if ARGV[13] then
              limits = check_limits(ms)
              if limits.which > 0 then
                return {-6, limits.which, limits.wait, limits.now_used[1], limits.now_used[2]}
              end
            end
            local room, cap, M, D, minute = cap_room(cap_request, cap_session, cap_day, H, ms)
            if room then
              if room < least then
                local limit = ({cap_request, cap_session, cap_day})[cap]
                return {-4, cap, cap_resets(cap, least, limit, H, M, minute, ms)}
              end
              want = math.min(want, room)
            end

            -- A request without a cap of its own takes at most half of what is left, never all of it.
            local waived = string.find(meta, '^%d+,%d*,%d*,w|') ~= nil
            local grant = want
            if not waived and grant > available then grant = math.max(least, math.floor(available / 2)) end
            if not waived and grant > available then
              return {-2, available, tonumber(v[9] or '0'), tonumber(v[10] or '0'), tonumber(v[11] or '0')}
            end
            local amount = text(grant)
            redis.call('HSET', k, 'h:' .. id,
              amount .. '|' .. text(ms + tonumber(ttl)) .. '|' .. owner .. '|' .. text(ms) .. '|' .. meta,
              't', text(math.floor(ms / 1000)))
            add('H', amount)
            if waived then add('W', amount) end
            if not limits and not room then return {0, grant, p - U} end
            local used = {0, 0}
            if limits then
              used = limits.then_used
              if limits.is_new then forget_drained(ms) end
              if #limits.writes > 0 then redis.call('HSET', k, unpack(limits.writes)) end
            end
            local near = near_caps(cap_request, cap_session, cap_day, grant, H, M, D)
            return {0, grant, p - U, used[1], used[2], near}
            """)
}
