import Billing
import Synchronization
import Testing

@testable import ControlPlane

@Suite struct OneVerificationTests {
    /// Answers when it is told to, and counts who is in at once.
    private final class SlowLog: AuditReading {
        struct Counts { var (now, most, all) = (0, 0, 0) }

        let counts = Mutex(Counts())
        let (gate, open) = AsyncStream.makeStream(of: Void.self)

        func auditEntries(_ query: AuditQuery) async throws -> [AuditEntry] { [] }

        func verifyAudit(
            heads: [[UInt8]], progress: @escaping @Sendable (Int64) -> Void
        ) async throws -> AuditVerdict {
            let call = self.counts.withLock { counts in
                counts.all += 1
                counts.now += 1
                counts.most = max(counts.most, counts.now)
                return counts.all
            }
            for await _ in self.gate {}
            self.counts.withLock { $0.now -= 1 }
            return AuditVerdict(entries: Int64(call), head: "", problems: [])
        }
    }

    @Test func whoeverAsksMeanwhileWaitsForTheSameVerdict() async throws {
        let log = SlowLog()
        let one = OneVerification(log)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask { _ = try await one.verifyAudit(heads: [], progress: { _ in }) }
            }
            while log.counts.withLock({ $0.now }) == 0 { await Task.yield() }
            for _ in 0..<1000 { await Task.yield() }
            log.open.finish()
            try await group.waitForAll()
        }
        let before = log.counts.withLock { $0 }
        #expect(before.most == 1)
        let next = try await one.verifyAudit(heads: [], progress: { _ in })
        #expect(next.entries == Int64(before.all + 1), "it looks again")
        #expect(try await one.verifyAudit(heads: [[1]], progress: { _ in }).entries == next.entries + 1)
    }
}
