extension HoldScript {
    /// GATE (G2). Arguments: gate version, floor, block ('0' or '1'). Answers 1 taken · 0 not newer, or no
    /// hash.
    static let gate = HoldScript(
        index: 6, name: "GATE",
        body: """
            if redis.call('HEXISTS', k, 'i') == 0 then return 0 end
            local known = redis.call('HGET', k, 'gs')
            if known and tonumber(ARGV[1]) <= tonumber(known) then return 0 end
            redis.call('HSET', k, 'gs', ARGV[1], 'f', ARGV[2], 'blk', ARGV[3])
            return 1
            """)
}
