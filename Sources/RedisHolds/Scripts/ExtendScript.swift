extension HoldScript {
    /// EXTEND (R6), and TOUCH when the total is not above what is held. Arguments: loop, generation, raise,
    /// id, total, ttl ms, owner boot, progress ('' = as it was), caps of request, session, day ('' = none).
    ///
    /// The total is absolute, so a repeat changes nothing. Answers integers:
    /// - {0, total} raised · {1, held} only touched
    /// - {2} no such hold: the owner REASSERTs it · {3} taken over by a reaper
    /// - {-1} balance unknown · {-2, available} · {-3} blocked · {-4, which cap, ms of reset} · {-5} fenced
    static let extend = HoldScript(
        index: 3, name: "EXTEND",
        body: """
            local loop, generation, raise, id, total, ttl, owner, progress, cap_request, cap_session, cap_day
              = unpack(ARGV)
            if fenced(loop, generation) then return {-5} end
            local h = redis.call('HGET', k, 'h:' .. id)
            if not h then return {2} end
            local held, holder, rest, old_progress = string.match(h, '^(%d+)|%d+|([^|]*)|(.*|)([^|]*)$')
            if holder ~= owner then return {3} end
            if progress == '' then progress = old_progress end
            local ms = now()
            local tail = '|' .. text(ms + tonumber(ttl)) .. '|' .. owner .. '|' .. rest .. progress
            local more = tonumber(total) - tonumber(held)
            if more <= 0 then
              redis.call('HSET', k, 'h:' .. id, held .. tail)
              raise_fence(loop, generation, raise)
              return {1, tonumber(held)}
            end

            local v = redis.call('HMGET', k, 'p', 'H', 'U', 'f', 'blk', 'W')
            if v[5] == '1' then return {-3} end
            if not v[1] then return {-1} end
            local H = tonumber(v[2] or '0')
            local request = cap_request
            if request ~= '' then request = text(tonumber(request) - tonumber(held)) end
            local room, cap, M, D, minute = cap_room(request, cap_session, cap_day, H, ms)
            if room and room < more then
              local limit = ({cap_request, cap_session, cap_day})[cap]
              return {-4, cap, cap_resets(cap, more, limit, H, M, minute, ms)}
            end
            local W = math.min(tonumber(v[6] or '0'), H)
            local available = tonumber(v[1]) - H + W - tonumber(v[3] or '0') - tonumber(v[4] or '0')
            if available < more then return {-2, available} end
            redis.call('HSET', k, 'h:' .. id, total .. tail)
            add('H', text(more))
            if is_waived(h) then add('W', text(more)) end
            raise_fence(loop, generation, raise)
            return {0, tonumber(total)}
            """)
}
