import Foundation
import Metering
import MoneyPath
import Settlement

/// Journals as lines for people and scripts: columns are separated by tabs.
enum JournalText {
    // MARK: Journals

    static func line(_ journal: InspectedJournal) -> String {
        [
            "\(journal.boot)", self.time(Int64(journal.boot.millisecondsSinceEpoch)),
            self.state(journal.state), "\(journal.segments)", "\(journal.bytes)", "\(journal.outcomes)",
            "\(journal.unacknowledged)", "\(journal.open)", self.damage(journal),
        ].joined(separator: "\t")
    }

    private static func state(_ state: InspectedJournal.State) -> String {
        switch state {
        case .live: "live"
        case .ended: "ended"
        // By a process that did not know the time; the next one that does dates it.
        case .recovered(0): "recovered"
        case .recovered(let milliseconds): "recovered " + self.time(milliseconds)
        }
    }

    private static func damage(_ journal: InspectedJournal) -> String {
        if let failure = journal.unreadable.first { return "\(failure)" }
        if let damage = journal.damage.first {
            return "segment \(damage.segment) \(damage.finding), offset \(damage.offset)"
        }
        let missing = journal.contents.missingRecords
        return missing == 0 ? "-" : "none; a power cut took \(missing) records"
    }

    /// What `check` says, the verdict last.
    static func findings(_ journal: InspectedJournal) -> [String] {
        let contents = journal.contents
        var lines = journal.unreadable.map { "damage: \($0)" }
        lines += journal.damage.map { "damage: \(journal.place(of: $0)): the segment \($0.finding)" }
        lines += contents.holes.map { "hole: \(journal.place(of: $0)): the segment \($0.finding)" }
        if contents.missingRecords > 0 {
            lines.append(
                "\(journal.path): \(contents.missingRecords) records that were never known to be on disk are missing"
            )
        }
        if let tail = contents.tornTail {
            lines.append(
                "\(journal.path): the last record was not written whole (\(journal.place(of: tail)))")
        }
        lines.append(
            "\(journal.path): \(journal.isWhole ? "whole" : "damaged"), \(journal.outcomes) outcomes in "
                + "\(journal.segments) segments, last record \(contents.lastSequence)")
        return lines
    }

    static func summary(_ salvaged: JournalSalvage.Salvaged) -> String {
        let left = salvaged.unreadable == 0 ? "" : ", \(salvaged.unreadable) records left out as unreadable"
        return
            "salvaged: \(salvaged.outcomes) outcomes, \(salvaged.unacknowledged) of them to be posted, and "
            + "\(salvaged.open) exchanges without an end\(left); the original is at \(salvaged.aside)"
    }

    // MARK: Records

    static func line(_ entry: JournalEntry, of journal: InspectedJournal) -> String {
        let (record, facts) = self.columns(entry, watermark: journal.contents.watermark)
        return "\(entry.sequence)\t\(record)\t\(facts)\t\(journal.place(of: entry.place))"
    }

    private static func columns(_ entry: JournalEntry, watermark: UInt64) -> (record: String, facts: String) {
        switch entry.content {
        case .open(_, let settlement): ("OPEN", self.facts(settlement))
        case .progress(_, let progress):
            (
                "PROGRESS",
                progress.map { "output=\($0.output) charge=\($0.charge.amount)" } ?? "amounts no exchange has"
            )
        case .outcome(_, let settlement, let superseded):
            (
                settlement.map { "\($0.kind)".uppercased() } ?? "OUTCOME",
                self.facts(settlement)
                    + (superseded
                        ? " (written again)"
                        : entry.sequence <= watermark ? " posted" : " not known to be posted")
            )
        case .acknowledged(let sequence): ("ACK", "through=\(sequence)")
        case .abandoned(let segment): ("ABANDON", "segment=\(segment)")
        case .durable(let sequence): ("DURABLE", "through=\(sequence)")
        }
    }

    /// Tokens are totals, as the API reports them; parts that most exchanges do not have follow when there are any.
    static func facts(_ settlement: Settlement?) -> String {
        guard let settlement else { return "this release cannot read it" }
        let usage = settlement.usage
        let parts = usage.parts.map { " \($0.name)=\($0.count)" }.joined()
        let estimate = settlement.estimatedBecause.map { " estimated=\($0)" } ?? ""
        return
            "account=\(settlement.account) authority=\(settlement.authority) charge=\(settlement.charge.amount) "
            + "shadow=\(settlement.shadow) price=\(settlement.priceID) model=\(settlement.modelRequested) "
            + "input=\(usage.inputTotal) output=\(usage.outputTotal)\(parts)\(estimate)"
    }

    /// UTC, to the second.
    static func time(_ milliseconds: Int64) -> String {
        Date(timeIntervalSince1970: Double(milliseconds / 1_000))
            .formatted(.iso8601)
    }
}
