import Metering
import Testing

@testable import MoneyPath

@Suite struct JournalTests {
    @Test func theChecksumIsCRC32C() {
        func sum(_ bytes: [UInt8], cut: Int) -> UInt32 {
            bytes.withUnsafeBytes { all in
                let first = CRC32C.update(0, UnsafeRawBufferPointer(rebasing: all[..<cut]))
                return CRC32C.update(first, UnsafeRawBufferPointer(rebasing: all[cut...]))
            }
        }
        // RFC 3720, appendix B.4, and the usual check value.
        #expect(sum(Array("123456789".utf8), cut: 0) == 0xe306_9283)
        #expect(sum([UInt8](repeating: 0, count: 32), cut: 0) == 0x8a91_36aa)
        #expect(sum([UInt8](repeating: 0xff, count: 32), cut: 32) == 0x62a8_ab43)
        let long = (0..<100).map { UInt8($0 * 7 & 255) }
        for cut in 0...100 { #expect(sum(long, cut: cut) == sum(long, cut: 0)) }
    }

    /// Files outlive releases: a change of layout is a change of version.
    @Test func theLayoutIsFixed() {
        var rig = JournalRig()
        rig.open(1)
        rig.progress(1, 2)
        rig.end(1)
        rig.acknowledge(1)
        let bytes = rig.disk[0].bytes
        let crc = bytes.withUnsafeBytes {
            CRC32C.update(0, UnsafeRawBufferPointer(rebasing: $0[..<rig.journal.segments[0].used]))
        }
        #expect(Array(bytes[..<12]) == Array("TGTJRN01".utf8) + [1, 0, 0, 0])
        #expect(crc == 0x51a0_e8ab, "\(String(crc, radix: 16))")
    }

    // MARK: Room (J3)

    @Test func withoutASegmentNobodyIsAdmitted() {
        var rig = JournalRig(spares: 0)
        #expect(rig.journal.reserve() == false)
        #expect(rig.journal.wantsSpare)
        rig.journal.spareFailed()
        #expect(rig.journal.isSpareMissing)
        rig.prepareSpares()
        #expect(rig.journal.reserve() == true)
        #expect(!rig.journal.isSpareMissing)
    }

    /// Whoever reserved can write OPEN and the largest outcome, in any order, whatever else is written.
    @Test(arguments: 0..<20) func aReservationIsAlwaysGoodForOpenAndTheLargestOutcome(_ round: Int) {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(state: seed)
        var rig = JournalRig(spares: Int.random(in: 1...6, using: &random))
        var (reserved, open, number) = (0, [Int](), 0)
        for _ in 0..<600 {
            switch Int.random(in: 0..<12, using: &random) {
            case 0..<4: reserved += rig.journal.reserve() ? 1 : 0
            case 4..<7 where reserved > 0:
                number += 1
                let opening = JournalFixtures.longest(number, kind: .orphan)
                #expect(rig.journal.open(opening) != nil, "seed \(seed)")
                reserved -= 1
                open.append(number)
            case 7..<9 where !open.isEmpty:
                let ends = open.remove(at: .random(in: open.indices, using: &random))
                let outcome = JournalFixtures.longest(ends)
                #expect(rig.journal.end(outcome, reserved: true) != nil, "seed \(seed)")
            case 9:
                number += 1
                let length = Int.random(in: 0...256, using: &random)
                _ = rig.journal.end(JournalFixtures.final(number, padding: length), reserved: false)
            case 10: for hold in open { rig.progress(hold, 5) }
            case 11 where rig.journal.lastSequence > 0:
                rig.journal.acknowledge(
                    through: UInt64.random(in: 0...rig.journal.lastSequence, using: &random))
            default: break
            }
            #expect(rig.journal.usableBytes >= rig.journal.reservedBytes, "seed \(seed)")
        }
        for hold in open {
            #expect(
                rig.journal.end(JournalFixtures.longest(hold), reserved: true) != nil, "seed \(seed)")
        }
        for _ in 0..<reserved {
            number += 1
            let outcome = JournalFixtures.longest(number)
            #expect(rig.journal.end(outcome, reserved: true) != nil, "seed \(seed)")
        }
    }

    @Test func aReservationGivenBackAdmitsSomebodyElse() {
        var rig = JournalRig(spares: 1)
        var count = 0
        while rig.journal.reserve() { count += 1 }
        #expect(count > 0)
        rig.journal.giveBackReservation()
        #expect(rig.journal.reserve() == true)
        #expect(rig.journal.reserve() == false)
    }

    /// A VOID after an unknown PLACE, an adopted capture: nobody reserved for them, and they are money too.
    @Test func unreservedOutcomesHaveRoomOfTheirOwnAndTakeNobodyElses() {
        let limits = Journal<MemorySegment>.Limits(unreservedOutcomes: 2, acknowledgements: 0)
        var rig = JournalRig(limits: limits, spares: 1)
        var reserved = 0
        while rig.journal.reserve() { reserved += 1 }
        var written = 0
        while rig.journal.end(JournalFixtures.longest(100 + written), reserved: false) != nil { written += 1 }
        #expect(written >= 2)
        for number in 0..<reserved {
            #expect(rig.journal.open(JournalFixtures.longest(number, kind: .orphan)) != nil)
            #expect(rig.journal.end(JournalFixtures.longest(number), reserved: true) != nil)
        }
    }

    @Test func progressIsSkippedAndCountedWhenRoomIsShort() {
        var rig = JournalRig(spares: 1)
        rig.open(1)
        let hold = JournalFixtures.hold(1)
        var written = 0
        while rig.journal.progress(hold, JournalFixtures.progress(Int64(written))) == .written {
            written += 1
        }
        #expect(written > 10 && rig.journal.progressSkipped == 1)
        #expect(rig.end(1) != nil)
        #expect(rig.journal.progress(hold, JournalFixtures.progress(1)) == .ignored)
    }

    @Test func aSpareIsWantedBeforeItIsNeeded() {
        var rig = JournalRig(spares: 0)
        rig.prepareSpares()
        for number in 1...500 {
            #expect(rig.open(number) == true)
            rig.end(number)
            rig.prepareSpares()
            #expect(rig.journal.spares.count >= 1)
        }
    }

    // MARK: Acknowledgement and reading

    @Test func whatWaitsIsReadInPages() {
        var rig = JournalRig()
        for number in 1...30 {
            rig.prepareSpares()
            rig.open(number)
            rig.end(number, padding: 200)
        }
        rig.acknowledge(4)
        #expect(rig.journal.unacknowledged == 26)
        var seen: [Settlement] = []
        var from = rig.journal.watermark + 1
        while true {
            let read = rig.journal.backlog(from: from, limit: 7).read()
            let page = read.outcomes
            #expect(read.lost.isEmpty)
            guard let last = page.last else { break }
            #expect(page.count <= 7)
            seen += page.map(\.settlement)
            from = last.sequence + 1
        }
        #expect(seen == rig.model.unacknowledged)
        var retained = rig.journal.outcomes(from: 1)
        #expect(retained.next(limit: 100).count == 30)
    }

    @Test func acknowledgingTwiceOrBackwardsChangesNothing() {
        var rig = JournalRig()
        let sequences = (1...3).compactMap { rig.end($0, reserved: false) }
        rig.journal.acknowledge(through: sequences[1])
        let last = rig.journal.lastSequence
        rig.journal.acknowledge(through: sequences[0])
        rig.journal.acknowledge(through: sequences[1])
        #expect(rig.journal.unacknowledged == 1 && rig.journal.watermark == sequences[1])
        #expect(rig.journal.lastSequence == last)
    }
}
