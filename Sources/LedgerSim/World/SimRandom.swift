/// SplitMix64: the same seed gives the same world, on every machine.
public struct SimRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { self.state = seed }

    public mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var word = self.state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    /// True once in `count` times.
    public mutating func oneIn(_ count: Int) -> Bool { self.below(count) == 0 }

    /// 0 ..< count; the bias of a remainder does not matter here.
    public mutating func below(_ count: Int) -> Int { Int(self.next() % UInt64(count)) }

    public mutating func between(_ low: Int64, _ high: Int64) -> Int64 {
        low + Int64(self.next() % UInt64(high - low + 1))
    }
}
