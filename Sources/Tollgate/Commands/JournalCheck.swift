import Glibc
import Metering
import MoneyPath
import PostgresLedger
import Settlement

/// Compares the journals of this host with the ledger (DESIGN §9, I9).
struct JournalCheck {
    private let verifier: LedgerVerifier
    private let inspector: JournalInspector

    static let check = "I9 journal outcomes are in the ledger"
    /// Outcomes that are compared at once.
    private static let chunk = 2_000
    private static let tellEvery = 100_000

    init(_ store: StoreSession, root: String) {
        self.verifier = LedgerVerifier(pool: store.pool)
        self.inspector = JournalInspector(root: root)
    }

    func run(_ findings: inout VerifyFindings) async throws {
        let boots: [BootID]
        do throws(JournalFileFailure) { boots = try self.inspector.boots() } catch {
            guard error.code == ENOENT else { throw error }
            let text = "JOURNAL_DIR \(self.inspector.root) does not exist: no journal was looked at"
            complain(text)
            return findings.add(.note, "I9 journals", [text])
        }
        // All journals before the ledger: what is acknowledged in them has its row by then.
        var journals: [InspectedJournal] = []
        for boot in boots {
            if let journal = try self.inspector.readIfThere(boot) { journals.append(journal) }
        }
        let waiting = Self.onTheirWay(journals)
        for journal in journals {
            self.tellDamage(of: journal, &findings)
            try await self.compare(journal, waiting, &findings)
        }
    }

    /// What processes that live have not posted yet; whichever journal it came from.
    private static func onTheirWay(_ journals: [InspectedJournal]) -> Set<HoldID> {
        var holds: Set<HoldID> = []
        for journal in journals where journal.state == .live {
            var reading = journal.contents.unacknowledged()
            while case let page = reading.next(limit: Self.chunk), !page.isEmpty {
                holds.formUnion(page.lazy.map(\.settlement.hold))
            }
        }
        return holds
    }

    private func tellDamage(of journal: InspectedJournal, _ findings: inout VerifyFindings) {
        let damage =
            journal.unreadable.map { "\($0)" }
            + journal.damage.map { "\(journal.place(of: $0)): the segment \($0.finding)" }
        // What was taken over is in another journal; only a new ledger generation would want it again.
        if case .recovered = journal.state {
            findings.add(.warning, "I9 journals that were taken over can be read", damage)
        } else {
            findings.add(.violation, "I9 journals can be read", damage)
        }
        guard journal.contents.missingRecords > 0 else { return }
        findings.add(
            .note, "I9 records that a power cut took before they were on disk",
            ["\(journal.path): \(journal.contents.missingRecords) records"])
    }

    private func compare(
        _ journal: InspectedJournal, _ waiting: Set<HoldID>, _ findings: inout VerifyFindings
    ) async throws {
        progress("journal \(journal.boot), \(journal.outcomes) outcomes")
        var reading = journal.contents.retained()
        var done = 0
        while case let page = reading.next(limit: Self.chunk), !page.isEmpty {
            let outcomes = page.map(\.settlement)
            for finding in try await self.verifier.verify(
                journal: outcomes.filter { !waiting.contains($0.hold) })
            {
                findings.add(VerifyFinding(finding))
            }
            let moving = outcomes.filter { waiting.contains($0.hold) }
            for finding in moving.isEmpty ? [] : try await self.verifier.verify(journal: moving) {
                var note = VerifyFinding(finding)
                guard note.severity == .violation else {
                    findings.add(note)
                    continue
                }
                note.check = "I9 outcomes on their way to the ledger"
                note.severity = .note
                findings.add(note)
            }
            if done / Self.tellEvery != (done + page.count) / Self.tellEvery {
                progress("\(done + page.count) of \(journal.outcomes)")
            }
            done += page.count
        }
    }
}
