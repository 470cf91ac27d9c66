extension HoldScript {
    /// EVICT (R9): forgets an account with nothing open, no fence younger than 15 minutes, and no use for long
    /// enough. Argument: least idle seconds; an account without `t` has been idle since 1970.
    ///
    /// Answers 1 gone · 0 kept.
    static let evict = HoldScript(
        index: 10, name: "EVICT",
        body: """
            local v = redis.call('HMGET', k, 'H', 'U', 't')
            if (v[1] or '0') ~= '0' or (v[2] or '0') ~= '0' then return 0 end
            local second = tonumber(redis.call('TIME')[1])
            if second - tonumber(v[3] or '0') < tonumber(ARGV[1]) then return 0 end
            local all = redis.call('HGETALL', k)
            for j = 1, #all, 2 do
              local kind = string.sub(all[j], 1, 2)
              if kind == 'h:' or kind == 'u:' then return 0 end
              if kind == 'g:' then
                if second - tonumber(string.match(all[j + 1], '|(%d+)')) < 900 then return 0 end
              end
            end
            redis.call('DEL', k)
            return 1
            """)
}
