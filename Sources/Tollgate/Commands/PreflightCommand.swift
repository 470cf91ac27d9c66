import ArgumentParser
import Foundation

extension AcceptableGap: ExpressibleByArgument {}

struct PreflightCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "preflight",
        abstract: "The runbook's T-1 list against this environment; exit 1 when there is a gap.",
        discussion: """
            Looks at what `serve` would read: settings, secrets (known, repeated, readable by others, of staging, older \
            than 90 days; also passwords in DATABASE_URL and REDIS_URL, and of the collector of traces), Postgres, Redis, \
            clock, schema, packages, rate card and its margins, backup, disk, public URL and its headers, certificates, \
            Stripe's account, mode and webhook endpoint, people with a second factor, and the switches. It asks OpenAI once, \
            for the models that OPENAI_API_KEY may use, which costs nothing; --offline leaves that out. Changes nothing but \
            the record of when each secret was first seen (a keyed fingerprint, never the secret).

            A backup, a comparison with staging, and an owner with a second factor are gaps when they are missing; who \
            means to go on without one says so, such as with `--accept staging`, and it is a warning.

            To prove that staging's secrets were not taken along: `tollgate preflight --print-fingerprints` there, and \
            --staging-fingerprints FILE here. One line each: ✓ fine, ! a warning, ✗ a gap.
            """)

    @Option(help: "Accept a gap, which then is a warning; may be given several times.")
    var accept: [AcceptableGap] = []
    @Flag(help: "Do not try OPENAI_API_KEY.")
    var offline = false
    @Flag(help: "Warnings are gaps too.")
    var strict = false
    @Flag(help: "One JSON object instead of the list.")
    var json = false
    @Option(help: "The newest dump of `tollgate backup`; it must be younger than 24 hours.")
    var backup: String?
    @Option(help: "What --print-fingerprints printed elsewhere; default: PREFLIGHT_STAGING_FINGERPRINTS.")
    var stagingFingerprints: String?
    @Flag(help: "Print the fingerprints of this environment's secrets, and do nothing else.")
    var printFingerprints = false

    private struct Report: Encodable {
        var ready: Bool
        var failures: Int
        var warnings: Int
        var lines: [PreflightLine]
    }

    func run() async throws {
        try await reporting {
            if self.printFingerprints { return try self.printAll() }
            var run = PreflightRun(
                staging: try self.staging(), backup: self.backup, accepting: Set(self.accept),
                isOffline: self.offline)
            await run.run()
            let report = run.report
            let isReady = report.isReady(isStrict: self.strict)
            if self.json {
                print(
                    try CommandJSON.of(
                        Report(
                            ready: isReady, failures: report.failures, warnings: report.warnings,
                            lines: report.lines)))
            } else {
                for line in report.lines { print(line.line) }
                print(
                    "\(isReady ? "ready" : "NOT READY"): \(report.failures) gaps, \(report.warnings) warnings"
                )
            }
            guard isReady else { throw Exit.checkFailed }
        }
    }

    private func printAll() throws {
        var environment = PreflightEnvironment(.environment())
        let secrets = environment.secrets()
        guard environment.reader.problems.isEmpty else {
            throw BadConfiguration(problems: environment.reader.problems)
        }
        for secret in secrets {
            for value in secret.values { print("\(secret.name) \(SecretFingerprint.text(value))") }
        }
    }

    private func staging() throws -> Set<String>? {
        guard let path = self.stagingFingerprints ?? System.environment("PREFLIGHT_STAGING_FINGERPRINTS"),
            !path.isEmpty
        else { return nil }
        guard let text = try? String(contentsOfFile: path, encoding: .utf8),
            let found = SecretFingerprint.parse(text)
        else { throw UsageError("--staging-fingerprints: \(path) is not what --print-fingerprints prints") }
        return found
    }
}
