extension HoldScript {
    /// POSTED (R7). Arguments: ledger generation, version, balance, then (id, amount, amount that caps count, authority)
    /// of each settled hold.
    ///
    /// h: goes always, u: only if it is what was posted: a reaper's estimate leaves the owner's FINAL, also one of the same
    /// amount, as that of a waived hold always is. Both go, so CAPTURE may come before or after. Spend of a hold that was
    /// never captured is counted here. Never creates a hash; the balance counts if (generation, version) is newer. With a
    /// new generation the gate may have gone back as well, so its version is forgotten and whatever is told next counts.
    /// Answers how
    /// many entries went.
    static let posted = HoldScript(
        index: 5, name: "POSTED",
        body: """
            local gone = 0
            for j = 4, #ARGV, 4 do
              local id, amount, counted, authority = ARGV[j], ARGV[j + 1], ARGV[j + 2], ARGV[j + 3]
              local v = redis.call('HMGET', k, 'h:' .. id, 'u:' .. id)
              if v[1] then
                redis.call('HDEL', k, 'h:' .. id)
                uncount_hold(v[1])
                count_stream(v[1], -1)
                spend(counted)
                gone = gone + 1
              end
              if v[2] and amount_of(v[2]) == amount and authority_of(v[2]) <= tonumber(authority) then
                redis.call('HDEL', k, 'u:' .. id)
                subtract('U', amount)
                gone = gone + 1
              end
            end
            if redis.call('HEXISTS', k, 'i') == 1 and newer(ARGV[1], ARGV[2]) then
              local lg = tonumber(redis.call('HGET', k, 'lg') or '0')
              if tonumber(ARGV[1]) > lg then redis.call('HDEL', k, 'gs') end
              redis.call('HSET', k, 'lg', ARGV[1], 's', ARGV[2], 'p', ARGV[3])
            end
            return gone
            """)
}
