import Testing

@testable import Proxy

@Suite struct SweepTurnTests {
    private final class Member {}

    @Test func eachHasItsTurnOnceASecondAndDeadlinesFourTimes() {
        let members = (0..<1000).map { _ in Member() }
        var turn = SweepTurn()
        var (told, looks, seconds) = (Array(repeating: 0, count: members.count), 0, 0)
        var mostAtOnce = 0
        for _ in 0..<SweepTurn.perSecond {
            turn = turn.next
            let these = members.indices.filter { turn.isOf(members[$0]) }
            for index in these { told[index] += 1 }
            mostAtOnce = max(mostAtOnce, these.count)
            looks += turn.looksAtDeadlines ? 1 : 0
            seconds += turn.beginsSecond ? 1 : 0
        }
        #expect(told.allSatisfy { $0 == 1 })
        #expect(looks == 4)
        #expect(seconds == 1)
        #expect(turn == SweepTurn())
        // 50 would be even.
        #expect(mostAtOnce < 200)
    }
}
