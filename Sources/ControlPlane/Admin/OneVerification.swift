import Billing

/// The audit log, gone through once at a time: whoever asks meanwhile gets the same verdict. It reads every entry there
/// ever was, on one of few connections.
struct OneVerification: AuditReading {
    private let base: any AuditReading
    private let flight = Flight()

    init(_ base: any AuditReading) { self.base = base }

    func auditEntries(_ query: AuditQuery) async throws -> [AuditEntry] {
        try await self.base.auditEntries(query)
    }

    /// Whoever has noted heads has a run of their own.
    func verifyAudit(
        heads: [[UInt8]], progress: @escaping @Sendable (Int64) -> Void
    ) async throws -> AuditVerdict {
        guard heads.isEmpty else { return try await self.base.verifyAudit(heads: heads, progress: progress) }
        return try await self.flight.join { [base] in
            try await base.verifyAudit(heads: [], progress: progress)
        }
    }

    private actor Flight {
        private var running: Task<AuditVerdict, any Error>?

        func join(_ body: @escaping @Sendable () async throws -> AuditVerdict) async throws -> AuditVerdict {
            if let running { return try await running.value }
            // SAFETY: awaited here; it is a task of its own because others wait for it too, whoever leaves first.
            let task = Task { try await body() }
            self.running = task
            defer { self.running = nil }
            return try await task.value
        }
    }
}
