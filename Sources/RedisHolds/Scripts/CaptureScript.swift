extension HoldScript {
    /// CAPTURE (R4). Arguments: loop, generation, raise, force, id, amount, payload, tokens used,
    /// amount that caps count (without it: the amount).
    ///
    /// Answers 0 moved · 1 captured already · 2 no such hold, nothing written (POSTED came first, or Redis
    /// lost it) · 3 written without a hold because of `force`, only in the epoch protocol · -5 fenced.
    static let capture = HoldScript(
        index: 1, name: "CAPTURE",
        body: """
            local loop, generation, raise, force, id, amount, payload, used, counted = unpack(ARGV)
            if fenced(loop, generation) then return -5 end
            local v = redis.call('HMGET', k, 'h:' .. id, 'u:' .. id)
            if v[2] or not (v[1] or force == '1') then
              raise_fence(loop, generation, raise)
              return v[2] and 1 or 2
            end
            if v[1] then
              redis.call('HDEL', k, 'h:' .. id)
              uncount_hold(v[1])
              count_stream(v[1], -1)
            end
            redis.call('HSET', k, 'u:' .. id, amount .. '|' .. payload)
            add('U', amount)
            spend(counted or amount)
            if v[1] and used then correct_tokens(v[1], used) end
            raise_fence(loop, generation, raise)
            return v[1] and 0 or 3
            """)
}
