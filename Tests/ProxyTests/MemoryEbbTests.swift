import Testing

@testable import Proxy

struct MemoryEbbTests {
    @Test func memoryGoesBackEachTimeHalfOfTheConnectionsAreGone() {
        var ebb = MemoryEbb()
        let counts = [0, 1000, 900, 501, 500, 400, 300, 250, 126, 125, 60, 0]
        let told = counts.filter { ebb.isNow(connections: $0) }
        // 500 of 1,000, 250 of 500; what is left is too few to matter.
        #expect(told == [500, 250])
    }

    @Test func fewConnectionsAreNotWorthIt() {
        var ebb = MemoryEbb()
        let least = MemoryEbb.connectionsMin
        let told = [least - 1, 0, least, least / 2].map { ebb.isNow(connections: $0) }
        #expect(told == [false, false, false, true])
    }
}
