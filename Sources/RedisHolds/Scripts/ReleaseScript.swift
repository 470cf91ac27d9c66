extension HoldScript {
    /// RELEASE (R5). Arguments: loop, generation, raise, id, owner boot.
    ///
    /// Answers 0 given back · 1 nothing there · 2 captured already · 3 taken over by a reaper, which keeps it
    /// · -5 fenced.
    static let release = HoldScript(
        index: 2, name: "RELEASE",
        body: """
            local loop, generation, raise, id, owner = unpack(ARGV)
            if fenced(loop, generation) then return -5 end
            local v = redis.call('HMGET', k, 'h:' .. id, 'u:' .. id)
            local answer = v[2] and 2 or 1
            if v[1] then
              if string.match(v[1], '^%d+|%d+|([^|]*)|') == owner then
                redis.call('HDEL', k, 'h:' .. id)
                uncount_hold(v[1])
                count_stream(v[1], -1)
                correct_tokens(v[1], '0')
                answer = 0
              else
                answer = 3
              end
            end
            raise_fence(loop, generation, raise)
            return answer
            """)
}
