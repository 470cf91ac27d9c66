import Metering
import MoneyPath

/// Finds the journals of boots that ended (rules J1, J8): those whose lock is free. Run at boot and now and then.
/// Blocks: not for event loops.
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
        /// Left as they are.
        public var refused: [BootID: EndedBootFailure] = [:]
    }

    /// Boots that ended and were not recovered. Deletes marked ones that are old enough.
    ///
    /// - Parameters:
    ///   - known: boots that need no look, such as our own and those that were refused before.
    ///   - nowMilliseconds: wall clock, since 1970; nil: it is not trusted, and nothing is deleted.
    public func scan(
        except known: Set<BootID>, nowMilliseconds: Int64?
    ) throws(JournalFileFailure) -> Findings {
        var findings = Findings()
        for boot in try JournalDirectory.boots(root: self.root) where !known.contains(boot) {
            do throws(EndedBootFailure) {
                guard let ended = try self.recover(boot, nowMilliseconds) else { continue }
                findings.ended.append(ended)
            } catch {
                findings.refused[boot] = error
            }
        }
        return findings
    }

    /// Boots that were recovered before, one after the other: their outcomes are wanted again for a new ledger
    /// generation, their OPENs for rule F8. Nothing of them waits to be posted.
    public func visitRecovered(
        except known: Set<BootID>, _ visit: (EndedBoot) -> Void
    ) throws(JournalFileFailure) {
        for boot in try JournalDirectory.boots(root: self.root) where !known.contains(boot) {
            guard let directory = try JournalDirectory.adopt(root: self.root, boot: boot),
                directory.recoveredAtMilliseconds() != nil,
                let ended = try? EndedBoot(directory, mode: .salvage, isRecovered: true)
            else { continue }
            visit(ended)
        }
    }

    /// `tollgate journal salvage`: a boot that was refused, with every valid record; nil while it is locked.
    public func salvage(_ boot: BootID) throws(EndedBootFailure) -> EndedBoot? {
        guard let directory = try self.adopt(boot) else { return nil }
        return try EndedBoot(directory, mode: .salvage, isRecovered: false)
    }

    private func recover(_ boot: BootID, _ now: Int64?) throws(EndedBootFailure) -> EndedBoot? {
        guard let directory = try self.adopt(boot) else { return nil }
        guard let recoveredAt = directory.recoveredAtMilliseconds() else {
            return try EndedBoot(directory, mode: .strict, isRecovered: false)
        }
        guard let now, now - recoveredAt >= self.retentionMilliseconds else { return nil }
        do { try directory.delete() } catch { throw .file(error) }
        return nil
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
    private let directory: JournalDirectory

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

    /// Copies what is to be posted into our own journal, and marks the boot as recovered when that is on disk.
    ///
    /// - Parameters:
    ///   - take: puts an outcome into our journal and has it settled; returns its place there, nil: no room.
    ///   - marked: called on the journal's thread; nil: the mark is on disk.
    public func handOver(
        to journal: JournalStore, take: (Settlement) -> UInt64?,
        marked: @escaping @Sendable (JournalFileFailure?) -> Void
    ) -> RecoveredBoot<MappedSegment>.HandOver {
        let action = self.recovered.handOver(take)
        if case .copied(_, let last) = action {
            journal.whenDurable(last) { marked(self.mark(atMilliseconds: journal.nowMilliseconds())) }
        }
        return action
    }

    /// The boot needs no recovery any more; its files stay for the retention.
    func mark(atMilliseconds now: Int64) -> JournalFileFailure? {
        do throws(JournalFileFailure) {
            try self.directory.markRecovered(atMilliseconds: now)
            return nil
        } catch { return error }
    }
}
