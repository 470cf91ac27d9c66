import Testing

@testable import LedgerSim

@Suite struct SimRandomTests {
    @Test func aSeedIsAWorld() {
        var (one, two) = (SimRandom(seed: 7), SimRandom(seed: 7))
        for _ in 0..<100 { #expect(one.next() == two.next()) }
        for _ in 0..<100 { #expect((3...5).contains(one.between(3, 5))) }
    }
}
