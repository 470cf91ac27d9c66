extension HoldScript {
    /// REAP (F2, F3): takes a hold over from a dead owner whose deadline passed on Redis' clock. Atomic: from
    /// here on the old owner's RELEASE answers 3. Arguments: id, owner as it stands there, owner as it is to stand
    /// (`<reaping boot>~<boot that placed it>`), ttl ms.
    ///
    /// Answers {amount, placed ms, meta (input estimate|price id|endpoint|progress)}, or nil.
    static let reap = HoldScript(
        index: 9, name: "REAP",
        body: """
            local id, dead, me, ttl = unpack(ARGV)
            local h = redis.call('HGET', k, 'h:' .. id)
            if not h then return nil end
            local amount, deadline, owner, placed, meta = string.match(h, '^(%d+)|(%d+)|([^|]*)|(%d+)|(.*)$')
            local ms = now()
            if owner ~= dead or tonumber(deadline) > ms then return nil end
            redis.call('HSET', k, 'h:' .. id,
              amount .. '|' .. text(ms + tonumber(ttl)) .. '|' .. me .. '|' .. placed .. '|' .. meta)
            count_stream(h, -1)
            return {amount, placed, meta}
            """)
}
