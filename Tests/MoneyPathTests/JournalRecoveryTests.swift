import Metering
import Testing

@testable import MoneyPath

@Suite struct JournalRecoveryTests {
    /// A short journal of all records, with what must be found after each of them.
    private static func written() -> (rig: JournalRig, after: [(offset: Int, model: JournalModel)]) {
        var rig = JournalRig()
        var after: [(offset: Int, model: JournalModel)] = [(JournalFormat.segmentHeaderBytes, JournalModel())]
        func note() { after.append((rig.journal.segments[0].used, rig.model)) }
        for number in 1...3 {
            rig.open(number)
            note()
        }
        rig.progress(2, 40)
        note()
        rig.end(1)
        note()
        rig.end(3)
        note()
        rig.acknowledge(1)
        note()
        rig.progress(2, 90)
        note()
        return (rig, after)
    }

    @Test func aWholeJournalIsRecoveredWhole() throws {
        let (rig, _) = Self.written()
        let recovered = try rig.recover()
        #expect(recovered.says(rig.model))
        #expect(recovered.tornTail == nil && recovered.skipped.isEmpty)
        #expect(recovered.lastSequence == rig.journal.lastSequence)
        #expect(recovered.orphans == [JournalFixtures.orphan(2, JournalFixtures.progress(90))])
        var retained = recovered.retained()
        #expect(retained.next(limit: 10).map(\.settlement.hold) == [1, 3].map(JournalFixtures.hold))
    }

    /// `kill -9` and power cuts stop anywhere.
    @Test func everyCutLeavesAllRecordsBeforeIt() throws {
        let (rig, after) = Self.written()
        for cut in 0...rig.journal.segments[0].used {
            var disk = rig.disk
            for index in cut..<disk[0].bytes.count { disk[0].bytes[index] = 0 }
            let recovered = try RecoveredBoot(disk, of: JournalFixtures.boot)
            // A record whose last bytes are zeros is whole before its end, so a cut may show one record more.
            let whole = after.last { $0.offset <= cut } ?? after[0]
            let next = after.first { $0.offset > cut }
            #expect(
                recovered.says(whole.model) || (next.map { recovered.says($0.model) } ?? false),
                "cut at \(cut)")
        }
    }

    /// A torn tail may also hold what stood there before.
    @Test func everyCutLeavesAllRecordsBeforeItWhateverFollows() throws {
        let (rig, after) = Self.written()
        var random = SplitMix(state: 1)
        for cut in JournalFormat.segmentHeaderBytes..<rig.journal.segments[0].used {
            var disk = rig.disk
            for index in cut..<disk[0].bytes.count {
                disk[0].bytes[index] = .random(in: 0...255, using: &random)
            }
            let recovered = try RecoveredBoot(disk, of: JournalFixtures.boot)
            let whole = after.last { $0.offset <= cut + 7 } ?? after[0]
            let before = after.last { $0.offset <= cut } ?? after[0]
            #expect(recovered.says(whole.model) || recovered.says(before.model), "cut at \(cut)")
        }
    }

    /// One flipped bit gives a refusal, or (in the last record, or where nothing stands) the tail rule: never
    /// another settlement.
    @Test func aFlippedBitNeverGivesAnotherSettlement() throws {
        let (rig, after) = Self.written()
        let used = rig.journal.segments[0].used
        let lastRecord = after[after.count - 2].offset
        for bit in (0..<8 * (used + 64)) where (bit / 8 + bit) % 3 == 0 {
            var disk = rig.disk
            disk[0].bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            guard let recovered = try? RecoveredBoot(disk, of: JournalFixtures.boot) else {
                #expect(bit / 8 < lastRecord, "bit \(bit) refused")
                continue
            }
            // Padding is of no matter; before the last record everything else is refused.
            let isWhole = recovered.says(rig.model)
            let isTail = bit / 8 >= lastRecord && recovered.says(after[after.count - 2].model)
            #expect(isWhole || isTail, "bit \(bit)")
        }
    }

    /// Truncating at the first bad CRC would lose the outcomes behind it (C9).
    @Test func aValidRecordBehindADamagedOneIsRefusedAndSalvaged() throws {
        let (rig, after) = Self.written()
        var disk = rig.disk
        let outcomeOfOne = after[4].offset
        disk[0].bytes[outcomeOfOne + 50] ^= 1
        #expect(throws: JournalDamage.record(segment: 1, offset: outcomeOfOne)) {
            try RecoveredBoot(disk, of: JournalFixtures.boot)
        }
        let salvaged = try RecoveredBoot(disk, of: JournalFixtures.boot, mode: .salvage)
        #expect(salvaged.skipped == [.record(segment: 1, offset: outcomeOfOne)])
        var waiting = salvaged.unacknowledged()
        #expect(waiting.next(limit: 9).map(\.settlement) == rig.model.unacknowledged)
        #expect(salvaged.orphans.map(\.hold) == [1, 2].map(JournalFixtures.hold))
    }

    /// A hole of zeros looks like the end; what stands behind it says that it is not.
    @Test func aHoleOfZerosBeforeValidRecordsIsRefused() {
        let (rig, after) = Self.written()
        var disk = rig.disk
        for index in after[2].offset..<after[3].offset { disk[0].bytes[index] = 0 }
        #expect(throws: JournalDamage.record(segment: 1, offset: after[2].offset)) {
            try RecoveredBoot(disk, of: JournalFixtures.boot)
        }
    }

    @Test func aDamagedHeadOfAUsedSegmentIsRefusedAndSalvaged() throws {
        let (rig, _) = Self.written()
        var disk = rig.disk
        disk[0].bytes[40] ^= 1
        #expect(throws: JournalDamage.header(segment: 1)) {
            try RecoveredBoot(disk, of: JournalFixtures.boot)
        }
        let salvaged = try RecoveredBoot(disk, of: JournalFixtures.boot, mode: .salvage)
        #expect(salvaged.says(rig.model))
        #expect(salvaged.skipped == [.header(segment: 1)])
    }

    // MARK: More than one segment

    private static func writtenOverSegments() -> JournalRig {
        var rig = JournalRig(spares: 4)
        for number in 1...200 {
            rig.prepareSpares()
            rig.open(number)
            if number > 3 { rig.end(number - 3, padding: number) }
        }
        rig.acknowledge(50)
        return rig
    }

    @Test func recordsGoOnInTheNextSegment() throws {
        let rig = Self.writtenOverSegments()
        #expect(rig.journal.segments.count > 2)
        #expect(try rig.recover().says(rig.model))
    }

    @Test func onlyTheLastSegmentMayBeTorn() throws {
        let rig = Self.writtenOverSegments()
        let end = rig.journal.segments[0].used
        for cut in [end - 8, end - 100, end - 1_000, 64, 30, 0] {
            var disk = rig.disk
            for index in cut..<disk[0].bytes.count { disk[0].bytes[index] = 0 }
            #expect(throws: JournalDamage.self, "cut at \(cut)") {
                try RecoveredBoot(disk, of: JournalFixtures.boot)
            }
        }
    }

    @Test func aMissingSegmentIsRefused() {
        var disk = Self.writtenOverSegments().disk
        disk.remove(at: 1)
        #expect(throws: JournalDamage.missingSegment(2)) { try RecoveredBoot(disk, of: JournalFixtures.boot) }
    }

    /// Files that are used again bring valid-looking records of long ago.
    @Test func recycledBytesNeverPass() throws {
        let old = Self.writtenOverSegments()
        var rig = JournalRig(spares: 0)
        for index in 0..<3 {
            rig.journal.add(
                spare: MemorySegment(id: UInt64(index + 1), recycling: old.disk[(index + 1) % 3]))
        }
        #expect(try rig.recover().says(rig.model))
        for number in 1...20 {
            rig.open(number)
            rig.end(number)
            #expect(try rig.recover().says(rig.model))
        }
    }

    /// The same segment, sequence and hold of another boot.
    @Test func recordsOfAnotherBootNeverPass() throws {
        let disk = Self.writtenOverSegments().disk
        let other = try RecoveredBoot(disk, of: BootID(high: 1, low: 2))
        #expect(other.orphans.isEmpty && other.openedHolds.isEmpty && other.lastSequence == 0)
    }

    /// A release that is set back must not post what it cannot read, nor drop it.
    @Test func anOutcomeThatCannotBeReadIsRefused() throws {
        var rig = JournalRig()
        rig.open(1)
        rig.end(1)
        let place = rig.journal.segments[0].used
        let newer = Array("2;from;the;future".utf8)
        _ = rig.journal.append(.outcome(JournalFixtures.hold(2)), newer)
        rig.end(3, reserved: false)
        #expect(throws: JournalDamage.undecodable(segment: 1, offset: place)) { try rig.recover() }
        let salvaged = try rig.recover(.salvage)
        var reading = salvaged.unacknowledged()
        #expect(reading.next(limit: 9).map(\.settlement.hold) == [1, 3].map(JournalFixtures.hold))
        #expect(reading.unreadable == 1)
    }
}
