import Metering
import Testing

/// Ids are mixed, not hashed: tables must find them all the same, and must not cluster.
@Suite struct HoldIDHashTests {
    @Test(arguments: [0, 1, -1, 0x5bd1_e995]) func equalIdsAreOne(seed: Int) {
        let one = HoldID(millisecondsSinceEpoch: 1_764_000_000_000, randomA: 7, randomB: 99)
        let other = HoldID(high: one.high, low: one.low)
        #expect(one == other && one._rawHashValue(seed: seed) == other._rawHashValue(seed: seed))
        #expect(Set([one, other]).count == 1)
    }

    /// Buckets are chosen by the low bits. Dice would meet 63 % of 4,096 buckets with as many throws; neighbours in one word, which
    /// are no ids that are ever made, must meet a quarter of them.
    @Test func neighboursDoNotCluster() {
        for seed in [0, 12_345, -7] {
            for step: UInt64 in [1, 1 << 16, 1 << 32, 1 << 52] {
                var (byLow, byHigh): (Set<Int>, Set<Int>) = ([], [])
                for number in 0..<UInt64(4096) {
                    let low = HoldID(high: 0x0193_0000_0000_7000, low: 1 << 63 | number &* step)
                    let high = HoldID(high: number &* step, low: 1 << 63 | 42)
                    byLow.insert(low._rawHashValue(seed: seed) & 4095)
                    byHigh.insert(high._rawHashValue(seed: seed) & 4095)
                }
                #expect(byLow.count > 1_024, "step \(step), seed \(seed)")
                #expect(byHigh.count > 1_024, "step \(step), seed \(seed)")
            }
        }
    }
}
