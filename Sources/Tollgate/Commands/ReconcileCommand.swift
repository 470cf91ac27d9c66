import ArgumentParser
import Billing
import Foundation
import Logging
import PostgresLedger
import StripeAPI

struct ReconcileCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reconcile",
        abstract: "The runbook's daily jobs: balances, usage, hold store, payments, costs, books.",
        subcommands: [Run.self, ImportOpenAICosts.self], defaultSubcommand: Run.self)

    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Compare one day on all sides; exit 1 with the offending rows.",
            discussion: """
                May run beside everything else; brings the books up to date first. Reads DATABASE_URL, REDIS_URL, and \
                STRIPE_SECRET_KEY with STRIPE_API_BASE and STRIPE_CA_FILE; a side that is not set is said to be not \
                configured. Tolerance is zero. The result is stored (reconciliation_run, _result, _finding).

                Payments of the last quarter of an hour may still be on their way: a day is best compared when it is \
                over. Exit 1: something differs. Exit 69: nothing differs, but a side could not be asked.
                """)

        @Option(help: "UTC day, YYYY-MM-DD; yesterday unless given.")
        var date: String?
        @Flag(help: "An object {day, clean, complete, mismatch_millicredits, checks} on standard output.")
        var json = false

        /// Exit 1 means that something differs, so a day that cannot be compared ends as wrong usage (64).
        func validate() throws {
            guard let date else { return }
            guard let day = UTCDay(text: date) else {
                throw ValidationError("--date must be a day, YYYY-MM-DD")
            }
            guard let today = UTCDay(millisecondsSinceEpoch: Clock.wallMilliseconds()), day <= today else {
                throw ValidationError("--date \(day) has not begun yet")
            }
        }

        func run() async throws {
            try await reporting {
                let day = try self.day()
                try await StoreSession.with { store in
                    let startedAt = Clock.wallMilliseconds()
                    let report = try await self.reconcile(day, store)
                    try await store.ledger.store(report, .command, startedAt: startedAt)
                    print(
                        self.json
                            ? try CommandJSON.of(ReconciliationText.Report(report))
                            : ReconciliationText.text(report))
                    guard report.isClean else { throw Exit.checkFailed }
                    guard report.isComplete else { throw Exit.unavailable }
                }
            }
        }

        private func day() throws -> UTCDay {
            guard let date else {
                guard let day = BooksSchedule.yesterday(at: Clock.wallMilliseconds()) else {
                    throw CommandFailure("the clock is outside the calendar")
                }
                return day
            }
            return try DayArgument.parse(date, "--date")
        }

        private func reconcile(_ day: UTCDay, _ store: StoreSession) async throws -> ReconciliationReport {
            var reader = SettingsReader.environment()
            let redisURL = reader.secret("REDIS_URL")
            let stripe = StripeConnection(&reader, store.logger)
            guard reader.problems.isEmpty else { throw BadConfiguration(problems: reader.problems) }
            defer { stripe?.shutDown() }
            return try await Reconciler(
                pool: store.pool, ledger: store.ledger, stripe: stripe?.client, redisURL: redisURL,
                logger: store.logger
            ).run(day)
        }
    }

    struct ImportOpenAICosts: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "import-openai-costs",
            abstract: "Take over what OpenAI says its days cost, from the operator's own export.",
            discussion: """
                CSV with the heading `\(OpenAICostExport.heading)` and one row per UTC day, such as \
                `2026-03-31,12.345678`. A day that is there already is replaced. The whole file is taken over or \
                nothing of it. `reconcile` compares the books with it, to the micro-dollar.
                """)

        @Argument(help: "The CSV file.") var file: String
        @OptionGroup var why: OptionalReason

        func run() async throws {
            try await reporting {
                let text = try String(contentsOfFile: self.file, encoding: .utf8)
                let rows = try OpenAICostExport.parse(text)
                try await StoreSession.with {
                    try await $0.ledger.importOpenAICosts(
                        rows, note: why.note("reconcile import-openai-costs"))
                }
                print("\(rows.count) \(rows.count == 1 ? "day" : "days") imported")
            }
        }
    }
}

/// Stripe for a command that runs once.
struct StripeConnection {
    let client: StripeClient
    private let http: OutboundHTTP

    /// nil: no key is set. What is wrong is left with the reader.
    init?(_ reader: inout SettingsReader, _ logger: Logger) {
        guard let key = StripeSettings.key(&reader) else { return nil }
        var outbound = OutboundHTTP.Configuration()
        outbound.authoritiesFile = reader.text("STRIPE_CA_FILE")
        self.http = OutboundHTTP(outbound)
        self.client = StripeClient(
            http: self.http, base: StripeSettings.base(&reader), key: key,
            userAgent: "Tollgate/\(Version.text)",
            logger: logger)
    }

    func shutDown() { self.http.shutDown() }
}

/// A day as an operator types it.
enum DayArgument {
    static func parse(_ text: String, _ name: String) throws -> UTCDay {
        guard let day = UTCDay(text: text) else { throw UsageError("\(name) must be a day, YYYY-MM-DD") }
        return day
    }
}
