import Glibc
import Metering
import MoneyPath
import Testing

@testable import Settlement

@Suite(.timeLimit(.minutes(2))) struct JournalInspectorTests {
    private static let boot = JournalDisk.boot(1)

    private static func inspect(_ disk: JournalDisk) throws -> InspectedJournal {
        try JournalInspector(root: disk.root).read(self.boot)
    }

    /// Two outcomes, one of them posted, and an exchange without an end.
    private static func write(_ disk: JournalDisk, steady: Int64 = 1_000_000) throws -> JournalStore {
        let store = try disk.store(1, steady: { steady })
        let first = try #require(store.exchange(1))
        #expect(store.exchange(2) != nil)
        #expect(store.reserve() && store.open(JournalDisk.settlement(3, .orphan)))
        store.acknowledge(through: first)
        return store
    }

    @Test func aJournalIsReadBesideItsProcess() async throws {
        let disk = JournalDisk()
        let store = try Self.write(disk)
        let journal = try Self.inspect(disk)
        #expect(journal.state == .live && journal.isWhole)
        #expect(journal.outcomes == 2 && journal.unacknowledged == 1 && journal.open == 1)
        #expect(journal.segments == 2 && journal.bytes == 2 * JournalFormat.segmentBytesMin)
        #expect(store.exchange(4) != nil, "looking took nothing away")
        await store.stop()
    }

    /// The writer goes on while somebody looks: no look may take a half-written record for damage.
    @Test func aJournalThatIsWrittenToIsNeverDamaged() async throws {
        let disk = JournalDisk()
        let store = try disk.store(1, segmentBytes: 1 << 20)
        try await withThrowingTaskGroup { group in
            group.addTask {
                for number in 1...2_000 where store.exchange(number) == nil { await Task.yield() }
            }
            for _ in 0..<20 {
                let journal = try Self.inspect(disk)
                #expect(journal.isWhole && journal.state == .live)
                await Task.yield()
            }
            try await group.waitForAll()
        }
        await store.stop()
    }

    @Test func aLookKeepsNobodyFromTheLock() async throws {
        let disk = JournalDisk()
        try await JournalDisk.end(try Self.write(disk))
        let journal = try Self.inspect(disk)
        #expect(journal.state == .ended && journal.unacknowledged == 1)
        let adopted = try #require(try JournalDirectory.adopt(root: disk.root, boot: Self.boot))
        #expect(try Self.inspect(disk).state == .live)
        try adopted.markRecovered(atMilliseconds: 77_000)
        withExtendedLifetime(adopted) {}
    }

    @Test func whatWasTakenOverWaitsForNothing() async throws {
        let disk = JournalDisk()
        try await JournalDisk.end(try Self.write(disk))
        do {
            let adopted = try #require(try JournalDirectory.adopt(root: disk.root, boot: Self.boot))
            try adopted.markRecovered(atMilliseconds: 77_000)
        }
        let journal = try Self.inspect(disk)
        #expect(journal.state == .recovered(atMilliseconds: 77_000))
        #expect(journal.unacknowledged == 0 && journal.outcomes == 2)
    }

    @Test func theRecordsOfOneHoldAreShownInOrder() async throws {
        let disk = JournalDisk()
        // Before the beginning of its clock, the thread notes nothing of what is on the disk between two records.
        let store = try Self.write(disk, steady: -1)
        let hold = JournalDisk.settlement(2).hold
        var entries: [JournalEntry] = []
        try Self.inspect(disk).contents.forEachEntry(of: hold) { entries.append($0) }
        #expect(
            entries.map(\.content) == [
                .open(hold, JournalDisk.settlement(2, .orphan)),
                .outcome(hold, JournalDisk.settlement(2), superseded: false),
            ])
        #expect(entries.map(\.sequence) == [4, 5])
        await store.stop()
    }

    @Test func damageIsNamedByFileAndByte() async throws {
        let disk = JournalDisk()
        try await JournalDisk.end(try Self.write(disk))
        disk.flip(1, at: JournalDisk.firstRecord + 50)
        let journal = try Self.inspect(disk)
        #expect(journal.damage == [.record(segment: 1, offset: JournalDisk.firstRecord)])
        let damage = try #require(journal.damage.first)
        #expect(
            journal.place(of: damage)
                == "\(disk.root)/\(Self.boot)/0000000000000001.seg, offset \(JournalDisk.firstRecord)")
    }

    @Test func aDirectoryThatIsNotThereIsToldByName() {
        #expect(throws: JournalFileFailure(.read, "/tmp/no such journal", code: ENOENT)) {
            try JournalInspector(root: "/tmp/no such journal").boots()
        }
    }
}

@Suite(.timeLimit(.minutes(2))) struct JournalSalvageTests {
    private static let boot = JournalDisk.boot(1)

    private static func salvage(_ disk: JournalDisk) throws -> JournalSalvage.Action {
        try JournalSalvage(root: disk.root).run(self.boot, nowMilliseconds: 1_000_000)
    }

    /// 40 exchanges, 10 of them posted, one without an end, and one byte that flipped.
    private static func damaged(_ disk: JournalDisk) async throws {
        let store = try disk.store(1)
        var sequences: [UInt64] = []
        for number in 1...40 {
            while true {
                guard let sequence = store.exchange(number) else {
                    await Task.yield()
                    continue
                }
                sequences.append(sequence)
                break
            }
        }
        #expect(store.reserve() && store.open(JournalDisk.settlement(41, .orphan)))
        store.progress(
            JournalDisk.settlement(41).hold,
            JournalProgress(
                output: 5, charge: Charge(amount: Millicredits(9), cost: .zero), shadow: Millicredits(9)))
        store.acknowledge(through: sequences[9])
        try await JournalDisk.end(consume store)
        disk.flip(1, at: JournalDisk.firstRecord + 50)
    }

    private static func adoptable(_ disk: JournalDisk) throws -> JournalRecoveryScan.Findings {
        try JournalRecoveryScan(root: disk.root).scan(except: [])
    }

    @Test func whatIsValidIsTakenOverByTheNextStart() async throws {
        let disk = JournalDisk()
        try await Self.damaged(disk)
        #expect(try Self.adoptable(disk).refused.count == 1)
        guard case .salvaged(let salvaged) = try Self.salvage(disk) else {
            Issue.record("it was refused")
            return
        }
        #expect(salvaged.original.damage == [.record(segment: 1, offset: JournalDisk.firstRecord)])
        #expect(salvaged.outcomes == 40 && salvaged.unacknowledged == 30 && salvaged.open == 1)

        let findings = try Self.adoptable(disk)
        #expect(findings.refused.isEmpty)
        let recovered = try #require(findings.ended.first).recovered
        #expect(recovered.boot == Self.boot && recovered.skipped.isEmpty)
        #expect(recovered.waiting == (11...40).map { JournalDisk.settlement($0) })
        #expect(recovered.orphans.map(\.charge.amount) == [Millicredits(9)])
        // The OPEN that was damaged is the first; its outcome is whole.
        #expect(recovered.openedHolds == Set((2...41).map { JournalDisk.settlement($0).hold }))
        var retained = recovered.retained()
        #expect(retained.next(limit: .max).count == 40, "a new generation of the ledger gets all of it")
    }

    @Test func theOriginalIsKeptAndNeverOverwritten() async throws {
        let disk = JournalDisk()
        try await Self.damaged(disk)
        _ = try Self.salvage(disk)
        let aside = "\(disk.root)/\(Self.boot).damaged"
        #expect(try JournalInspector(root: disk.root).setAside() == [aside])
        let (segments, _) = try JournalDirectory.openReadable(aside)
        #expect(
            throws: JournalDamage.record(segment: 1, offset: JournalDisk.firstRecord),
            performing: { try RecoveredBoot(segments, of: Self.boot) })
        // Damaged once more.
        disk.flip(1, at: JournalDisk.firstRecord + 50)
        #expect(throws: JournalFileFailure(.rename, aside, code: EEXIST)) { try Self.salvage(disk) }
    }

    @Test func aJournalThatLivesOrIsWholeIsLeftAlone() async throws {
        let disk = JournalDisk()
        guard case .unknown = try Self.salvage(disk) else { Issue.record("there is none"); return }
        let store = try disk.store(1)
        #expect(store.exchange(1) != nil)
        guard case .lives = try Self.salvage(disk) else { Issue.record("it lives"); return }
        try await JournalDisk.end(consume store)
        guard case .isWhole = try Self.salvage(disk) else { Issue.record("it is whole"); return }
        #expect(JournalDisk.names(disk.root).filter { !$0.hasPrefix(".") } == ["\(Self.boot)"])
    }

    /// Dead between the two renames: there is no journal under the boot's name.
    @Test func aSalvageThatDiedIsDoneAgain() async throws {
        let disk = JournalDisk()
        try await Self.damaged(disk)
        let path = "\(disk.root)/\(Self.boot)"
        #expect(mkdir("\(path).salvaged", 0o700) == 0)
        close(open("\(path).salvaged/lock", O_CREAT | O_RDWR, 0o600))
        #expect(rename(path, "\(path).damaged") == 0)
        guard case .salvaged(let salvaged) = try Self.salvage(disk) else {
            Issue.record("it was refused")
            return
        }
        #expect(salvaged.outcomes == 40)
        #expect(try Self.adoptable(disk).ended.count == 1)
    }

    @Test func aSegmentThatCannotBeOpenedIsSkippedByName() async throws {
        let disk = JournalDisk()
        let store = try disk.store(1)
        for number in 1...400 { while store.exchange(number) == nil { await Task.yield() } }
        try await JournalDisk.end(consume store)
        let file = "\(disk.root)/\(Self.boot)/0000000000000002.seg"
        #expect(truncate(file, 100) == 0)
        guard case .salvaged(let salvaged) = try Self.salvage(disk) else {
            Issue.record("it was refused")
            return
        }
        #expect(salvaged.original.unreadable.map(\.path) == [file])
        #expect(salvaged.original.damage.contains(.missingSegment(2)))
        #expect(salvaged.outcomes > 100 && salvaged.outcomes < 400)
        #expect(try Self.adoptable(disk).ended.first?.recovered.waiting.count == salvaged.outcomes)
    }
}
