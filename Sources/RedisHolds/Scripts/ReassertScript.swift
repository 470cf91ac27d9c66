extension HoldScript {
    /// REASSERT: the owner of a hold that Redis lost puts it back, whatever the balance. Arguments: loop,
    /// generation, raise, id, amount, ttl ms, owner boot, meta (as in PLACE).
    ///
    /// Answers 0 put back · 1 held or captured already · -5 fenced.
    static let reassert = HoldScript(
        index: 4, name: "REASSERT",
        body: """
            local loop, generation, raise, id, amount, ttl, owner, meta = unpack(ARGV)
            if fenced(loop, generation) then return -5 end
            local v = redis.call('HMGET', k, 'h:' .. id, 'u:' .. id)
            local known = v[1] or v[2]
            if not known then
              local ms = now()
              local hold = amount .. '|' .. text(ms + tonumber(ttl)) .. '|' .. owner .. '|' .. text(ms) .. '|' .. meta
              redis.call('HSET', k, 'h:' .. id, hold)
              add('H', amount)
              if is_waived(hold) then add('W', amount) end
              count_stream(hold, 1)
            end
            raise_fence(loop, generation, raise)
            return known and 1 or 0
            """)
}
