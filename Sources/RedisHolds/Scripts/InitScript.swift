extension HoldScript {
    /// INIT (R8): ends a cold load. Arguments: incarnation, epoch, ledger generation, version, balance, gate
    /// version, floor, block, spend of the last hour, spend of the day, then (id, amount, authority) of each hold
    /// that the ledger has as settled, all of one snapshot.
    ///
    /// Answers 0 done · -1 the hash is another one than the one that was loaded: LOAD again.
    ///
    /// The snapshot's spend does not hold what is captured and not posted, so that is added, with what caps count of it.
    /// Where POSTED was faster than the snapshot its balance stays, and the larger spend counts: a cap errs on the safe
    /// side. Also at the same version, since what is waived is posted without moving it. What was spent stays in its
    /// minutes then, or a window that is loaded again and again would never empty.
    static let initialize = HoldScript(
        index: 8, name: "INIT",
        body: """
            if redis.call('HGET', k, 'i') ~= ARGV[1] then return -1 end
            for j = 11, #ARGV, 3 do
              redis.call('HDEL', k, 'h:' .. ARGV[j])
              local u = redis.call('HGET', k, 'u:' .. ARGV[j])
              if u and amount_of(u) == ARGV[j + 1] and authority_of(u) <= tonumber(ARGV[j + 2]) then
                redis.call('HDEL', k, 'u:' .. ARGV[j])
              end
            end
            local ms = now()
            local M, D, minute = roll(ms)
            local H, U, W, unposted, minutes = 0, 0, 0, 0, {}
            local streams, counted = {}, {}
            local all = redis.call('HGETALL', k)
            for j = 1, #all, 2 do
              local kind = string.sub(all[j], 1, 2)
              if kind == 'h:' then
                H = H + tonumber(amount_of(all[j + 1]))
                if is_waived(all[j + 1]) then W = W + tonumber(amount_of(all[j + 1])) end
                local key = stream_of(all[j + 1])
                for _, name in ipairs(key and {'c', 'c:' .. key} or {}) do streams[name] = (streams[name] or 0) + 1 end
              elseif kind == 'u:' then
                U = U + tonumber(amount_of(all[j + 1]))
                unposted = unposted + tonumber(counted_of(all[j + 1]))
              elseif string.match(all[j], '^m%d+$') then minutes[#minutes + 1] = all[j]
              elseif all[j] == 'c' or kind == 'c:' then counted[#counted + 1] = all[j] end
            end
            local hour, day = tonumber(ARGV[9]) + unposted, tonumber(ARGV[10]) + unposted
            local known = redis.call('HMGET', k, 'lg', 's')
            local same = known[1] == ARGV[3] and known[2] == ARGV[4]
            local newest = not known[2] or newer(ARGV[3], ARGV[4])
            if newest or same then redis.call('HSET', k, 'lg', ARGV[3], 's', ARGV[4], 'p', ARGV[5]) end
            for _, name in ipairs(counted) do redis.call('HDEL', k, name) end
            for name, count in pairs(streams) do redis.call('HSET', k, name, text(count)) end
            if newest then
              for _, name in ipairs(minutes) do redis.call('HDEL', k, name) end
              redis.call('HSET', k, 'm' .. text(minute % 61), text(hour), 'M', text(hour), 'D', text(day))
            else
              local more = math.max(0, hour - M)
              if more > 0 then redis.call('HINCRBY', k, 'm' .. text(minute % 61), text(more)) end
              redis.call('HSET', k, 'M', text(M + more), 'D', text(math.max(day, D)))
            end
            local gs = redis.call('HGET', k, 'gs')
            local restored = tonumber(ARGV[3]) > tonumber(known[1] or '0')
            if not gs or restored or tonumber(ARGV[6]) >= tonumber(gs) then
              redis.call('HSET', k, 'gs', ARGV[6], 'f', ARGV[7], 'blk', ARGV[8])
            end
            local second = text(math.floor(ms / 1000))
            redis.call('HSET', k, 'e', ARGV[2], 't', second, 'H', text(H), 'U', text(U), 'W', text(W))
            return 0
            """)
}
