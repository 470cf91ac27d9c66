import Metering
import PostgresLedger

/// Stripe and the ledger as the administrative commands use them: configuration from the environment, closed at the end.
enum PaymentSession {
    static func with(_ body: (PaymentParts) async throws -> Void) async throws {
        var reader = SettingsReader.environment()
        let url = reader.requiredSecret("DATABASE_URL", "the ledger, postgresql://…")
        let controls = Controls(&reader)
        let settings = StripeSettings(&reader, recharges: controls.autoRecharge)
        guard reader.problems.isEmpty else { throw BadConfiguration(problems: reader.problems) }
        try await StoreSession.with(url: url) { store in
            let parts = PaymentParts(
                settings, database: store.pool.configuration, origins: [], offers: store.ledger,
                controls: FixedControls(controls), heard: { nil }, holder: "command", logger: store.logger)
            defer { parts.shutdown() }
            try await body(parts)
        }
    }
}
