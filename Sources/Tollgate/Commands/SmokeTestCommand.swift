import ArgumentParser
import Billing
import Foundation
import StripeAPI

struct SmokeTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "smoke-test",
        abstract: "The runbook's T-0 list against a running deployment; exit 1 when a line is red.",
        discussion: """
            Makes throw-away users, buys the starter package with Stripe's test card, delivers the event again, makes \
            metered calls and forces a 402; then takes back what it made. Costs a few tokens of the real upstream.

            Reads ADMIN_TOKEN and SERVICE_KEY (a service key); for the purchase STRIPE_SECRET_KEY (a test key), \
            STRIPE_WEBHOOK_SECRET, STRIPE_API_BASE; DATABASE_URL for a balance of five credits and to suspend the users \
            in the end. Secrets can be given as NAME_FILE. With --dev, what is not set comes from DIR/dev.json. What \
            cannot be checked with what is given is skipped, and the line says why.

            Exit 0: all green; 1: a line is red (or, with --strict, was skipped); 64: usage; 69: no reply at all; \
            78: a setting is missing or wrong.
            """)

    @Option(help: "The deployment's URL, https://…, or http://… on this machine.")
    var baseURL: String?
    @Option(help: "Directory of a running `tollgate dev`; the rest is read from its dev.json.")
    var dev: String?
    @Option(help: "PUBLIC_URL of the deployment, where it is not --base-url: checkout must lead back to it.")
    var publicURL: String?
    @Option(help: "Model of the metered calls.")
    var model = "gpt-4o-mini"
    @Option(help: "Model of the request that five credits cannot pay.")
    var costlyModel = "gpt-4o"
    @Option(
        help:
            "page: press the mock's button; card: Stripe's test card. Default: page for a Stripe on this machine."
    )
    var pay: SmokeSettings.Payment?
    @Option(help: "Seconds that money and usage may take until they are in the ledger, 1 to 600.")
    var waitSeconds = 30
    @Flag(help: "Allow a live key of Stripe's. Nothing is bought with it.")
    var live = false
    @Flag(help: "A line that was skipped counts as red.")
    var strict = false
    @Flag(help: "One JSON object instead of the list.")
    var json = false

    func validate() throws {
        guard self.baseURL != nil || self.dev != nil else {
            throw ValidationError("give --base-url URL, or --dev DIR")
        }
        guard (1...600).contains(self.waitSeconds) else {
            throw ValidationError("--wait-seconds must be from 1 to 600")
        }
        for (name, model) in [("--model", self.model), ("--costly-model", self.costlyModel)]
        where !Self.isPlain(model) {
            throw ValidationError("\(name) must be the name of a model")
        }
    }

    func run() async throws {
        try await reporting {
            let settings = try self.settings()
            var configuration = OutboundHTTP.Configuration()
            configuration.authoritiesFile = System.environment("STRIPE_CA_FILE")
            configuration.totalTimeout = .seconds(120)
            configuration.silenceTimeout = .seconds(60)
            let http = OutboundHTTP(configuration)
            defer { http.shutDown() }
            var run = SmokeRun(settings, http: http)
            if !self.json { print("smoke test of \(settings.base), user \(run.user)") }
            let list = await self.goThrough(&run)
            try self.report(list)
            if case .failed? = list.outcome(of: .health), !run.wasReached { throw Exit.unavailable }
            guard list.isGreen(isStrict: self.strict) else { throw Exit.checkFailed }
        }
    }

    private func goThrough(_ run: inout SmokeRun) async -> Checklist<SmokeCheck> {
        var list = Checklist<SmokeCheck>()
        let clock = ContinuousClock()
        for check in SmokeCheck.allCases {
            let begin = clock.now
            var note: String?
            var outcome = CheckOutcome.passed
            if let obstacle = list.obstacle(to: check) {
                outcome = .heldUp(by: obstacle.rawValue)
            } else {
                do {
                    note = try await run.run(check)
                } catch SmokeStop.skipped(let reason) {
                    outcome = .skipped(reason)
                } catch SmokeStop.failed(let sentence) {
                    outcome = .failed(sentence)
                } catch SmokeStop.unreachable(let sentence) {
                    outcome = .failed(sentence)
                    run.wasReached = check != .health
                } catch {
                    outcome = .failed("\(error)")
                }
            }
            let took = begin.duration(to: clock.now)
            let milliseconds =
                took.components.seconds * 1000 + took.components.attoseconds / 1_000_000_000_000_000
            let line = Checklist<SmokeCheck>.Line(
                check: check, outcome: outcome, milliseconds: milliseconds, note: note)
            list.add(line)
            if !self.json {
                print(line.text)
                fflush(nil)
            }
        }
        return list
    }

    private struct Report: Encodable {
        var green: Bool
        var failed: Int
        var skipped: Int
        var lines: [CheckLineJSON]
    }

    private func report(_ list: Checklist<SmokeCheck>) throws {
        let isGreen = list.isGreen(isStrict: self.strict)
        guard !self.json else {
            print(
                try CommandJSON.of(
                    Report(
                        green: isGreen, failed: list.failures, skipped: list.notRun,
                        lines: list.lines.map(\.json))))
            return
        }
        print("\(isGreen ? "green" : "RED"): \(list.failures) failed, \(list.notRun) skipped")
    }

    // MARK: Settings

    private func settings() throws -> SmokeSettings {
        let dev = try self.dev.map { try SmokeDevFacts.read($0).settings } ?? [:]
        var reader = SettingsReader(
            get: { name in
                let isSet = [name, name + "_FILE"].contains { System.environment($0)?.isEmpty == false }
                // What the environment says in a file is not to be set beside it.
                return isSet ? System.environment(name) : dev[name]
            }, readFile: { try String(contentsOfFile: $0, encoding: .utf8) })
        let text =
            try self.baseURL ?? self.dev.map { try SmokeDevFacts.read($0).settings["PUBLIC_URL"] ?? "" } ?? ""
        guard let base = try? OutboundBase(parsing: text) else {
            throw UsageError("--base-url must be https://…, or http://… on this machine")
        }
        let admins = reader.requiredSecret(
            "ADMIN_TOKEN", "the summary of the internal account is asked for with it")
        // As the deployment reads it: a list while rotating, the newest first.
        let admin = Secret(
            value: admins.value.split(separator: ",").first.map { String($0.trimmingBlanks) } ?? "")
        let service = reader.requiredSecret(
            "SERVICE_KEY", "a service key, by which throw-away users are made")
        let stripe = self.stripe(&reader)
        let settings = SmokeSettings(
            base: base, publicURL: self.publicURL ?? reader.text("PUBLIC_URL") ?? base.description,
            adminToken: admin, serviceKey: service, stripe: stripe.account, signingSecrets: stripe.secrets,
            databaseURL: reader.secret("DATABASE_URL"), model: self.model, costlyModel: self.costlyModel,
            wait: .seconds(self.waitSeconds))
        guard reader.problems.isEmpty else { throw BadConfiguration(problems: reader.problems) }
        return settings
    }

    private func stripe(
        _ reader: inout SettingsReader
    ) -> (account: SmokeSettings.Stripe?, secrets: [StripeSigningSecret]) {
        let base = StripeSettings.base(&reader)
        let secrets = StripeSettings.signingSecrets(&reader)
        guard let key = StripeSettings.key(&reader) else { return (nil, secrets) }
        if key.isLive, !self.live {
            reader.reject(
                "STRIPE_SECRET_KEY", "is a live key; a smoke test buys in test mode (or give --live)")
        }
        let payment = self.pay ?? (base.isTLS ? .card : .page)
        return (SmokeSettings.Stripe(key: key, base: base, payment: payment), secrets)
    }

    private static func isPlain(_ model: String) -> Bool {
        1...100 ~= model.utf8.count
            && model.utf8.allSatisfy {
                0x21...0x7e ~= $0 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
            }
    }
}

extension SmokeSettings.Payment: ExpressibleByArgument {}
