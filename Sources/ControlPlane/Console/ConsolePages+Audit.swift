import Billing
import Foundation
import Metering

/// What people changed, and whether the record of it is whole.
extension ConsolePages {
    static let auditRoutes = [
        ConsoleRoute(path: "/admin/audit", role: .viewer, kind: .page { try await $0.audit($1) }),
        ConsoleRoute(
            path: "/admin/audit/verification", role: .viewer, kind: .page { try await $0.verifyAudit($1) }),
    ]

    private static let auditFilters = [("actor", "Who"), ("action", "Action"), ("subject", "Subject")]

    private func audit(_ view: ConsoleView) async throws -> Page {
        let path = "/admin/audit"
        for (name, label) in Self.auditFilters {
            guard let text = view.parameter(name) else { continue }
            guard text.utf8.count <= 320, !text.unicodeScalars.contains("\0") else {
                throw APIError.badRequest(name, "\(label) has at most 320 bytes, none of them NUL.")
            }
        }
        let query = AuditQuery(
            actor: view.parameter("actor"), action: view.parameter("action"),
            subject: view.parameter("subject"), before: try self.cursor(view), limit: Self.rows)
        let entries = try await self.read(view) { try await self.admin.audit.auditEntries(query) }
        var search = ConsolePart("Search")
        search.form = .filter(
            self.site.link(path),
            Self.auditFilters.map { .text($0.0, $0.1, view.parameter($0.0), isRequired: false) })
        search.links = [
            ConsoleLink(linkText: "Check the chain", linkURL: self.site.link("/admin/audit/verification"))
        ]
        var list = ConsolePart("Entries")
        if entries.isEmpty {
            list.emptyText = "No entries of this kind."
        } else {
            list.table = ConsoleTable(
                "Entries, newest first",
                [
                    .number("Number"), .text("Time"), .text("Who"), .text("Action"), .text("Subject"),
                    .text("What changed"), .text("Reason"),
                ],
                entries.map { entry in
                    [
                        .count(entry.number), .time(entry.at / 1000), .text(entry.actor), .text(entry.action),
                        .long(entry.subject), .long(AuditDifference.text(entry.before, entry.after)),
                        .long(entry.reason),
                    ]
                })
        }
        let next = entries.count == Int(Self.rows) ? entries.last.map { String($0.number) } : nil
        list.links = self.pages(
            path, Self.auditFilters.map { ($0.0, view.parameter($0.0)) }, next: next, view)
        return self.page("Audit log", view, in: path, [search, list])
    }

    private func verifyAudit(_ view: ConsoleView) async throws -> Page {
        let verdict = try await self.read(view) {
            try await self.admin.audit.verifyAudit(heads: [], progress: { _ in })
        }
        var part = ConsolePart(
            "The chain", note: "Every hash was computed again, from the first entry to the last.")
        part.facts = [
            ConsoleFact("Verdict", verdict.isWhole ? .badge("whole", .good) : .badge("broken", .bad)),
            ConsoleFact("Entries", .text(Figures.count(verdict.entries))),
            ConsoleFact("Hash of the head", .text(verdict.head.isEmpty ? "–" : verdict.head)),
        ]
        part.facts += verdict.problems.map { ConsoleFact("Problem", .text("\($0)")) }
        part.links = [ConsoleLink(linkText: "Back to the log", linkURL: self.site.link("/admin/audit"))]
        return self.page("Audit log", view, in: "/admin/audit", [part])
    }
}

/// What is different between two JSON objects, for people.
enum AuditDifference {
    /// `balance: 1 → 2; status: "active" → "suspended"`
    static func text(_ before: String, _ after: String) -> String {
        guard let old = self.members(before), let new = self.members(after) else {
            return before == after ? after : "\(before) → \(after)"
        }
        let changed = Set(old.keys).union(new.keys).sorted().compactMap { name -> String? in
            let (old, new) = (old[name] ?? "–", new[name] ?? "–")
            return old == new ? nil : "\(name): \(old) → \(new)"
        }
        return changed.isEmpty ? after : changed.joined(separator: "; ")
    }

    /// Values as JSON; `null` is an object without members. nil: something else.
    private static func members(_ text: String) -> [String: String]? {
        let value = try? JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)
        if value is NSNull { return [:] }
        guard let object = value as? [String: Any] else { return nil }
        return object.mapValues { member in
            let data = try? JSONSerialization.data(
                withJSONObject: member, options: [.fragmentsAllowed, .sortedKeys, .withoutEscapingSlashes])
            return data.map { String(decoding: $0, as: UTF8.self) } ?? "–"
        }
    }
}
