extension HoldScript {
    /// LOAD (R8): begins a cold load, or only lists with the nonce ''. Argument: nonce.
    ///
    /// Answers {incarnation, field, value, …} with every h: and u: of the account.
    static let load = HoldScript(
        index: 7, name: "LOAD",
        body: """
            if ARGV[1] ~= '' then redis.call('HSETNX', k, 'i', ARGV[1]) end
            local out = {redis.call('HGET', k, 'i') or ''}
            local all = redis.call('HGETALL', k)
            for j = 1, #all, 2 do
              local kind = string.sub(all[j], 1, 2)
              if kind == 'h:' or kind == 'u:' then out[#out + 1] = all[j]; out[#out + 1] = all[j + 1] end
            end
            return out
            """)
}
