/// Tokens of one piece. A piece that is a token is found whole; the others are merged by rank, in one of three ways
/// that give the same:
///  - up to 8 bytes: as the definition says, in registers
///  - up to 1 KiB: greedily with backtracking, which is fastest for what people write
///  - longer ones, and those in which backtracking goes back too often: prefix by prefix (`PrefixTokens`)
///
/// Reads up to 16 bytes from the start of a piece.
struct PieceEncoder {
    let table: TokenSections
    let space: TokenWorkspace

    typealias Output = UnsafeMutablePointer<UInt32>

    /// The id of a piece that is a token; none otherwise. Keys of up to 16 bytes are left in `low` and `high`.
    @inline(__always)
    func wholeToken(_ start: BytePointer, _ count: Int, _ low: inout UInt64, _ high: inout UInt64) -> UInt32 {
        let raw = UnsafeRawPointer(start)
        if count <= 8 {
            low = TokenTableFormat.masked(raw.loadUnaligned(as: UInt64.self), count)
            high = 0
            return self.table.shortToken(low, count)
        }
        if count <= 16 {
            low = raw.loadUnaligned(as: UInt64.self)
            high = TokenTableFormat.masked(
                raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self), count &- 8)
            return self.table.mediumToken(low, high, count)
        }
        return self.table.longToken(start, count)
    }

    /// The tokens of a piece that is none, and how many; there is room for one for each byte.
    @inline(__always)
    func merge(
        _ start: BytePointer, _ count: Int, _ low: UInt64, _ high: UInt64, _ output: Output
    ) -> Int {
        count <= 16 ? self.mergeShort(start, count, low, high, output) : self.backtrack(start, count, output)
    }

    // MARK: Up to 16 bytes

    @inline(never)
    private func mergeShort(
        _ start: BytePointer, _ count: Int, _ low: UInt64, _ high: UInt64, _ output: Output
    ) -> Int {
        let hash = TokenTableFormat.mediumHash(low, high, count) >> (64 - TokenWorkspace.pieceBits)
        let entry = self.space.pieces + Int(truncatingIfNeeded: hash) &* TokenWorkspace.pieceBytes
        let known = (entry + 20).assumingMemoryBound(to: UInt32.self)
        let sizes = entry.load(fromByteOffset: 16, as: UInt32.self)
        if entry.load(as: UInt64.self) == low, entry.load(fromByteOffset: 8, as: UInt64.self) == high,
            Int(sizes & 0xff) == count
        {
            let tokens = Int(sizes >> 8)
            for index in 0..<tokens { output[index] = known[index] }
            return tokens
        }
        let tokens =
            count <= 8 ? self.mergeByRank(low, count, output) : self.backtrack(start, count, output)
        if tokens <= TokenWorkspace.pieceTokensMax {
            entry.storeBytes(of: low, as: UInt64.self)
            entry.storeBytes(of: high, toByteOffset: 8, as: UInt64.self)
            entry.storeBytes(
                of: UInt32(truncatingIfNeeded: count | tokens << 8), toByteOffset: 16, as: UInt32.self)
            for index in 0..<tokens { known[index] = output[index] }
        }
        return tokens
    }

    /// The definition: the pair with the lowest rank is merged, the first of these, until none is left.
    private func mergeByRank(_ key: UInt64, _ count: Int, _ output: Output) -> Int {
        let starts = self.space.starts
        let merges = self.space.merges
        var parts = count
        for index in 0..<count {
            starts[index] = index
            merges[index] = self.table.bytePairs[Int(truncatingIfNeeded: key &>> UInt64(8 &* index) & 0xffff)]
        }
        starts[count] = count
        // The last part has no next.
        merges[count &- 1] = TokenTableFormat.none
        while true {
            var best = TokenTableFormat.none
            var place = 0
            for index in 0..<parts &- 1 where merges[index] < best {
                best = merges[index]
                place = index
            }
            if best == TokenTableFormat.none { break }
            for index in place &+ 1..<parts {
                starts[index] = starts[index &+ 1]
                merges[index] = merges[index &+ 1]
            }
            parts &-= 1
            merges[place] =
                place &+ 1 < parts
                ? self.token(in: key, starts[place], starts[place &+ 2]) : TokenTableFormat.none
            if place > 0 { merges[place &- 1] = self.token(in: key, starts[place &- 1], starts[place &+ 1]) }
        }
        for index in 0..<parts { output[index] = self.token(in: key, starts[index], starts[index &+ 1]) }
        self.space.steps.pointee &+= 2
        return parts
    }

    @inline(__always)
    private func token(in key: UInt64, _ start: Int, _ end: Int) -> UInt32 {
        let bytes = key &>> UInt64(truncatingIfNeeded: 8 &* start)
        switch end &- start {
        case 1: return self.table.byteTokens[Int(truncatingIfNeeded: bytes & 0xff)]
        case 2: return self.table.bytePairs[Int(truncatingIfNeeded: bytes & 0xffff)]
        case let count: return self.table.shortToken(TokenTableFormat.masked(bytes, count), count)
        }
    }

    // MARK: Backtracking

    /// The longest token first; when it cannot stand beside the one in front of it the next shorter one, and when
    /// there is none the one in front is given up. A bit for each place says whether a token may end there at all.
    @inline(never)
    private func backtrack(_ start: BytePointer, _ count: Int, _ output: Output) -> Int {
        let ends = self.space.ends
        for word in 0...count >> 6 { ends[word] = .max }
        let end = start + count
        var at = 0
        var tokens = 0
        var token = self.table.longestToken(start, end)
        var retries = 0
        // Text needs about one retry for a token. Where it needs many more, prefixes are cheaper.
        let retriesMax = 24 &+ count >> 1
        var isRetry = false
        while true {
            let record = self.table.records[Int(token)]
            let next = at &+ Int(truncatingIfNeeded: record & 0xff)
            if ends[next >> 6] &>> UInt64(truncatingIfNeeded: next & 63) & 1 != 0,
                tokens == 0 || self.fits(output[tokens &- 1], token, isRetry)
            {
                isRetry = false
                output[tokens] = token
                tokens &+= 1
                at = next
                if at >= count { break }
                token = self.table.longestToken(start + at, end)
            } else {
                isRetry = true
                retries &+= 1
                if retries > retriesMax { return self.mergePrefixes(start, count, output) }
                let shorter = record >> 44
                if shorter != 0 {
                    token = UInt32(truncatingIfNeeded: shorter) &- 1
                } else {
                    // Tried again, it finds its end marked, and a shorter one follows.
                    ends[at >> 6] &= ~(1 &<< UInt64(truncatingIfNeeded: at & 63))
                    tokens &-= 1
                    token = output[tokens]
                    at &-= self.table.length(token)
                }
            }
        }
        self.space.steps.pointee &+= tokens &+ retries
        return tokens
    }

    @inline(__always)
    private func fits(_ left: UInt32, _ right: UInt32, _ isRetry: Bool) -> Bool {
        isRetry ? self.mayStandTogether(left, right) : self.table.mayStandTogether(left, right)
    }

    /// Retries ask for the same pairs again and again: the answers are remembered.
    @inline(never)
    func mayStandTogether(_ left: UInt32, _ right: UInt32) -> Bool {
        let key = TokenTableFormat.pairKey(left, right) &+ 1
        let slot = Int(
            truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) >> (64 - TokenWorkspace.pairBits))
        let known = self.space.pairs[slot]
        if known >> 1 == key { return known & 1 != 0 }
        let answer = self.table.mayStandTogether(left, right)
        self.space.pairs[slot] = key << 1 | (answer ? 1 : 0)
        return answer
    }

    // MARK: Prefix by prefix

    /// For pieces of any length; takes 8 bytes of memory for each of theirs when there are more than the ring has.
    @inline(never)
    func mergePrefixes(_ start: BytePointer, _ count: Int, _ output: Output) -> Int {
        if count < PrefixTokens.ringCount {
            return self.mergePrefixes(start, count, output, self.space.prefixes)
        }
        return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: count + 1) { prefixes in
            guard let prefixes = prefixes.baseAddress else { return 0 }
            return self.mergePrefixes(start, count, output, prefixes)
        }
    }

    private func mergePrefixes(
        _ start: BytePointer, _ count: Int, _ output: Output, _ prefixes: UnsafeMutablePointer<UInt64>
    ) -> Int {
        var state = PrefixTokens()
        for index in 0..<count { state.push(start[index], self, prefixes, mask: .max) }
        let tokens = state.count(prefixes, mask: .max)
        var at = count
        for index in stride(from: tokens &- 1, through: 0, by: -1) {
            let token = PrefixTokens.lastToken(prefixes[at])
            output[index] = token
            at &-= self.table.length(token)
        }
        return tokens
    }
}
