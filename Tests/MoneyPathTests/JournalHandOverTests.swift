import Metering
import Testing

@testable import MoneyPath

@Suite struct JournalHandOverTests {
    private static func written() -> JournalRig {
        var rig = JournalRig()
        for number in 1...40 {
            rig.prepareSpares()
            rig.open(number)
            if number % 4 != 0 { rig.end(number) }
        }
        rig.acknowledge(5)
        return rig
    }

    /// However often the other journal is full, each outcome goes over once, in order, and orphans come last.
    @Test(arguments: [0, 1, 2, 7, 1_000]) func aHandOverGoesOnWhereItStopped(rowsAtOnce: Int) throws {
        let rig = Self.written()
        var handOver = try rig.recover().handOver()
        var taken: [Settlement] = []
        var pieces = 0
        while true {
            // 0: refused every second time.
            var room = rowsAtOnce == 0 ? pieces % 2 : rowsAtOnce
            let action = handOver.proceed { settlement in
                guard room > 0 else { return nil }
                room -= 1
                taken.append(settlement)
                return UInt64(100 + taken.count)
            }
            pieces += 1
            if action == .copied(taken.count, through: UInt64(100 + taken.count)) { break }
            try #require(action == .noRoom(after: taken.count))
            try #require(pieces < 200)
        }
        #expect(Array(taken.prefix(25)) == rig.model.unacknowledged)
        #expect(Set(taken.dropFirst(25)) == rig.model.orphans && taken.count == 35)
    }

    @Test func nothingToHandOverIsDone() throws {
        var handOver = try JournalRig().recover().handOver()
        #expect(handOver.proceed { _ in nil } == .copied(0, through: 0))
    }

    /// A take-over must not wait for a spare that nobody prepares, nor take the room that admission needs.
    @Test func aTakeOverStopsWhereASpareIsWantedAndLeavesRoomToAdmit() {
        var rig = JournalRig()
        var number = 0
        while rig.journal.hasRoomForTakeOver {
            number += 1
            #expect(rig.end(number, reserved: false) != nil)
        }
        #expect(number > 0 && rig.journal.wantsSpare)
        #expect((1...3).allSatisfy { rig.open(1_000 + $0) })
        rig.prepareSpares()
        #expect(rig.journal.hasRoomForTakeOver)
    }

    /// Memory is a matter of the backlog: what is acknowledged is not kept.
    @Test func unpostedHoldsAreThoseWithoutAnAcknowledgedEnd() throws {
        let rig = Self.written()
        let recovered = try rig.recover()
        let waiting = Set(rig.model.unacknowledged.map(\.hold)).union(rig.model.orphans.map(\.hold))
        #expect(recovered.unpostedHolds == waiting && waiting.count == 35)
        let asked = Set((30...50).map(JournalFixtures.hold))
        #expect(recovered.opened(among: asked) == Set((30...40).map(JournalFixtures.hold)))
    }

    /// The pass drops what is acknowledged while it reads.
    @Test func unpostedHoldsAreRightInALongJournal() throws {
        var rig = JournalRig(capacity: 1 << 20)
        for number in 1...10_000 {
            rig.prepareSpares()
            rig.open(number)
            rig.end(number)
            if number % 100 == 0 { rig.acknowledge(99) }
        }
        #expect(try rig.recover().unpostedHolds == Set(rig.model.unacknowledged.map(\.hold)))
    }

    @Test func sparesThatNothingWasWrittenToAreGivenUp() {
        var rig = JournalRig(spares: 3)
        rig.open(1)
        #expect(rig.journal.removeSpares() == [2, 3])
        #expect(rig.journal.segmentCount == 1 && rig.journal.removeSpares().isEmpty)
    }
}
