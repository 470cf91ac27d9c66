import ArgumentParser
import Billing
import Foundation
import PostgresLedger

struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "What people changed: list it, and prove that nothing of it was changed later.",
        subcommands: [List.self, Verify.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Entries, newest first.")

        @Option(help: "By this actor only: staff:NAME, admin-token or cli:USER.") var actor: String?
        @Option(help: "This action only, such as account.adjust.") var action: String?
        @Option(help: "Of this subject only, such as account:USER.") var subject: String?
        @Option(help: "How many, 1 to 10000.") var limit: Int64 = 50

        func validate() throws {
            guard 1...10_000 ~= limit else { throw ValidationError("--limit must be from 1 to 10000") }
        }

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    let entries = try await store.ledger.auditEntries(
                        AuditQuery(actor: actor, action: action, subject: subject, limit: limit))
                    for entry in entries { print(entry.line) }
                }
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Compute every hash of the log again; exit 1 with the first entry that is not as it was written.",
            discussion: """
                A log whose end was cut off, or that was written anew, is whole in itself: give --head a hash that was \
                noted outside of the database. `verify` and `audit verify` print the newest one, and the daily \
                reconciliation logs it.
                """)

        @Option(help: "A hash that was noted earlier; it must be that of an entry. May be repeated.")
        var head: [String] = []

        func validate() throws {
            for text in head where Self.bytes(text) == nil {
                throw ValidationError("--head must be 64 hexadecimal digits, not '\(text)'")
            }
        }

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    let verdict = try await store.ledger.verifyAudit(heads: head.compactMap(Self.bytes)) {
                        if $0.isMultiple(of: 100_000) { complain("audit verify: up to entry \($0)") }
                    }
                    for problem in verdict.problems { print(problem) }
                    guard verdict.isWhole else { throw Exit.checkFailed }
                    print("audit log: whole, \(verdict.entries) entries, head \(verdict.head)")
                }
            }
        }

        static func bytes(_ text: String) -> [UInt8]? {
            let digits = Array(text.utf8)
            guard digits.count == 64 else { return nil }
            let bytes = stride(from: 0, to: 64, by: 2).map {
                UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
            }
            return bytes.contains(nil) ? nil : bytes.compactMap(\.self)
        }
    }
}

extension AuditEntry {
    /// Number, time, actor, action, subject, before, after, reason; by tabs.
    fileprivate var line: String {
        let time = Date(timeIntervalSince1970: TimeInterval(self.at / 1_000_000)).formatted(.iso8601)
        return [
            "\(self.number)", time, self.actor, self.action, self.subject, self.before, self.after,
            self.reason,
        ]
        .joined(separator: "\t")
    }
}
