import Billing
import PostgresLedger

/// The invariant of the audit log: what people changed is told as it was written.
enum AuditCheck {
    static func run(_ store: StoreSession, _ findings: inout VerifyFindings) async throws {
        let verdict = try await store.ledger.verifyAudit {
            if $0.isMultiple(of: 100_000) { progress("the audit log, up to entry \($0)") }
        }
        findings.add(
            .violation, "A1 the audit log is as it was written",
            verdict.problems.map(String.init(describing:)))
        progress("the audit log has \(verdict.entries) entries, head \(verdict.head)")
    }
}
