import Metering
import MoneyPath

/// Finds the journals of boots that ended (rules J1, J8): those whose lock is free. Run at boot and now and then.
/// Blocks: not for event loops, nor for tasks.
public struct JournalRecoveryScan: Sendable {
    public let root: String
    /// A marked directory is deleted when its mark is older.
    public let retentionMilliseconds: Int64

    public init(root: String, retentionMilliseconds: Int64 = 72 * 3_600_000) {
        self.root = root
        self.retentionMilliseconds = retentionMilliseconds
    }

    public struct Findings: Sendable {
        /// To be handed over with `EndedBoot.handOver`. Each holds its directory's lock until it is released.
        public var ended: [EndedBoot] = []
        /// Nothing was ever written to them. They are deleted: a restart loop must not fill the disk.
        public var empty: [BootID] = []
        /// Left as they are.
        public var refused: [BootID: EndedBootFailure] = [:]
    }

    /// Boots that ended and were not recovered.
    ///
    /// - Parameter known: boots that need no look, such as our own and those that were refused a moment ago.
    public func scan(except known: Set<BootID>) throws(JournalFileFailure) -> Findings {
        var findings = Findings()
        for boot in try JournalDirectory.boots(root: self.root) where !known.contains(boot) {
            do throws(EndedBootFailure) {
                guard let ended = try self.recover(boot) else { continue }
                if ended.recovered.isUnused {
                    try ended.delete()
                    findings.empty.append(boot)
                } else {
                    findings.ended.append(ended)
                }
            } catch {
                findings.refused[boot] = error
            }
        }
        return findings
    }

    private func recover(_ boot: BootID) throws(EndedBootFailure) -> EndedBoot? {
        let path = "\(self.root)/\(boot)"
        guard JournalDirectory.recoveredAtMilliseconds(path) == nil else { return nil }
        guard let directory = try self.adopt(boot) else {
            do { try JournalDirectory.deleteWithoutLock(path) } catch { throw .file(error) }
            return nil
        }
        // Whoever had the lock until now may have marked it.
        guard directory.recoveredAtMilliseconds() == nil else { return nil }
        return try EndedBoot(directory, mode: .strict, isRecovered: false)
    }

    /// A directory, without a look at what is in it.
    public struct Listed: Sendable, Hashable {
        public var boot: BootID
        /// Nothing of it waits to be posted.
        public var isMarked: Bool
        /// All of it was posted to this generation of the ledger.
        public var generation: Int64
    }

    /// All boots that have a directory, oldest first.
    public func list() throws(JournalFileFailure) -> [Listed] {
        try JournalDirectory.boots(root: self.root).map { boot in
            let path = "\(self.root)/\(boot)"
            return Listed(
                boot: boot, isMarked: JournalDirectory.recoveredAtMilliseconds(path) != nil,
                generation: JournalDirectory.generation(path))
        }
    }

    /// A boot that is marked: its outcomes are wanted again for a new ledger generation, its OPENs for rule F8. Nothing
    /// of it waits to be posted. nil: another looks at it just now, it is gone, or it has no mark.
    public func openMarked(_ boot: BootID) throws(EndedBootFailure) -> EndedBoot? {
        guard let directory = try self.adopt(boot), directory.recoveredAtMilliseconds() != nil else {
            return nil
        }
        return try EndedBoot(directory, mode: .salvage, isRecovered: true)
    }

    /// `tollgate journal salvage`: a boot that was refused, with every valid record; nil while it is locked.
    public func salvage(_ boot: BootID) throws(EndedBootFailure) -> EndedBoot? {
        guard let directory = try self.adopt(boot) else { return nil }
        return try EndedBoot(directory, mode: .salvage, isRecovered: false)
    }

    /// Deletes what crashes left, and marked boots that are old enough. Goes on after what cannot be deleted.
    ///
    /// - Parameter nowMilliseconds: since 1970; nil: the time is not known for sure, so nothing is old.
    public func clean(nowMilliseconds: Int64?) -> [JournalFileFailure] {
        var failures: [JournalFileFailure] = []
        for name in (try? JournalDirectory.names(self.root)) ?? [] {
            do throws(JournalFileFailure) {
                if let boot = BootID(text: name) {
                    if let now = nowMilliseconds { try self.deleteIfOld(boot, now) }
                } else if name.hasSuffix(JournalDirectory.unfinishedSuffix),
                    BootID(text: String(name.dropLast(JournalDirectory.unfinishedSuffix.count))) != nil
                {
                    try JournalDirectory.deleteUnfinished("\(self.root)/\(name)")
                }
            } catch {
                failures.append(error)
            }
        }
        return failures
    }

    /// As `clean`, for tasks.
    public func cleaned(nowMilliseconds: Int64?) async -> [JournalFileFailure] {
        await JournalThread.run { self.clean(nowMilliseconds: nowMilliseconds) }
    }

    /// A mark without a date, or with one that is still to come, says nothing about its age: it is dated now. That keeps
    /// the boot for longer, and not for ever.
    private func deleteIfOld(_ boot: BootID, _ now: Int64) throws(JournalFileFailure) {
        guard let markedAt = JournalDirectory.recoveredAtMilliseconds("\(self.root)/\(boot)") else { return }
        let isDated = markedAt > 0 && markedAt <= now
        guard !isDated || now - markedAt >= self.retentionMilliseconds,
            let directory = try JournalDirectory.adopt(root: self.root, boot: boot)
        else { return }
        if isDated { try directory.delete() } else { try directory.markRecovered(atMilliseconds: now) }
    }

    private func adopt(_ boot: BootID) throws(EndedBootFailure) -> JournalDirectory? {
        do { return try JournalDirectory.adopt(root: self.root, boot: boot) } catch { throw .file(error) }
    }
}

/// Why a journal is left as it is.
public enum EndedBootFailure: Error, Sendable, Hashable {
    /// The tail rule forbids it: `tollgate journal salvage`.
    case damage(JournalDamage)
    case file(JournalFileFailure)
}

/// The journal of a boot that ended, under its lock.
public final class EndedBoot: Sendable {
    public let recovered: RecoveredBoot<MappedSegment>
    /// Somebody posted, or copied, everything before.
    public let isRecovered: Bool
    let directory: JournalDirectory

    init(
        _ directory: JournalDirectory, mode: JournalRecoveryMode, isRecovered: Bool
    ) throws(EndedBootFailure) {
        let segments: [MappedSegment]
        do { segments = try directory.openSegments() } catch { throw .file(error) }
        do {
            var recovered = try RecoveredBoot(segments, of: directory.boot, mode: mode)
            if isRecovered { recovered.forgetUnacknowledged() }
            self.recovered = recovered
        } catch { throw .damage(error) }
        self.isRecovered = isRecovered
        self.directory = directory
    }

    public var boot: BootID { self.directory.boot }

    func delete() throws(EndedBootFailure) {
        do { try self.directory.delete() } catch { throw .file(error) }
    }

    /// What is to be posted goes into another journal with this.
    public func handOver() -> JournalHandOver<MappedSegment> { self.recovered.handOver() }

    /// Marks the boot as recovered when what was handed over is on disk; its lock is kept until then.
    ///
    /// - Parameters:
    ///   - last: the newest of it, in `journal`.
    ///   - marked: called on the journal's thread; nil: the mark is on disk.
    public func mark(
        whenDurable last: UInt64, in journal: JournalStore,
        marked: @escaping @Sendable (JournalFileFailure?) -> Void
    ) {
        journal.whenDurable(last) {
            marked(self.mark(atMilliseconds: journal.isClockTrusted() ? journal.nowMilliseconds() : nil))
        }
    }

    /// The boot needs no recovery any more; its files stay for the retention.
    func mark(atMilliseconds now: Int64?) -> JournalFileFailure? {
        do throws(JournalFileFailure) {
            try self.directory.markRecovered(atMilliseconds: now)
            return nil
        } catch { return error }
    }
}
