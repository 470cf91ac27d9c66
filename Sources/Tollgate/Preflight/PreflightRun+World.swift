import Logging
import NIOSSL
import StripeAPI

/// The machine, and everybody outside of the stores.
extension PreflightRun {
    mutating func machine(_ configuration: ServeConfiguration?, _ descriptors: Int) {
        if let directory = configuration?.moneyPath.journalDirectory {
            self.report.add(
                EdgeJudgement.journalDisk(directory, bytes: PreflightEnvironment.freeBytes(directory)))
        }
        self.report.add(EdgeJudgement.descriptors(descriptors))
    }

    mutating func edge(_ configuration: ServeConfiguration) async {
        self.report.add(
            "public-url",
            EdgeJudgement.addresses(publicURL: configuration.publicURL, origins: configuration.corsOrigins),
            fine: "\(configuration.publicURL), \(configuration.corsOrigins.count) exact origins")
        let days = configuration.certificates.map { ($0.certificateFile, Self.daysLeft($0.certificateFile)) }
        if !days.isEmpty {
            self.report.add("tls", EdgeJudgement.certificates(days), fine: "\(days.count) certificates")
        }
        await self.headers(configuration.publicURL)
    }

    mutating func openAI(_ configuration: ServeConfiguration, _ reader: SettingsReader) async {
        guard !self.isOffline else { return self.report.add(OpenAIJudgement.offline) }
        var reader = reader
        guard let key = reader.secret("OPENAI_API_KEY") else { return }
        guard configuration.upstreamProxy == nil else {
            return self.report.add(OpenAIJudgement.behindProxy)
        }
        let base = reader.text("OPENAI_BASE_URL") ?? ServeConfiguration.defaultOpenAIBaseURL
        self.report.add(
            await OpenAIKeyTrial.run(
                base: base, key: key, authoritiesFile: configuration.upstreamCAFile))
    }

    private mutating func headers(_ publicURL: String) async {
        guard let base = try? OutboundBase(parsing: publicURL) else { return }
        let http = OutboundHTTP()
        defer { http.shutDown() }
        let origin = "https://preflight.invalid"
        let request = OutboundRequest(
            .get, base, target: "/api/health", headers: [.init("Origin", origin)], timeout: .seconds(10))
        do throws(OutboundFailure) {
            let reply = try await http.send(request)
            let problems = [
                SmokeExpectations.securityHeaders(reply.header),
                SmokeExpectations.foreignOrigin(reply.header("access-control-allow-origin"), origin),
            ].compactMap { $0 }
            self.report.add(
                "headers", problems.map { .failed("headers", $0) }, fine: "CSP and CORS are as they must be")
        } catch {
            self.report.add(.warning("headers", "PUBLIC_URL does not answer yet: \(error.label)"))
        }
    }

    private static func daysLeft(_ path: String) -> Int64? {
        guard let certificate = try? NIOSSLCertificate.fromPEMFile(path).first else { return nil }
        return (Int64(certificate.notValidAfter) - Clock.wallMilliseconds() / 1000) / 86_400
    }

    mutating func stripe(_ configuration: ServeConfiguration, _ reader: SettingsReader) async {
        let settings = configuration.stripe
        guard let key = settings.key else {
            return self.report.add(
                .warning("stripe-mode", "STRIPE_SECRET_KEY is not set: purchases answer 503"))
        }
        self.report.add(
            "stripe-mode",
            StripeJudgement.mode(
                isLive: key.isLive, publicKey: reader.text("VITE_STRIPE_PUBLIC_KEY"), base: settings.base),
            fine: "live keys that fit together")
        var outbound = OutboundHTTP.Configuration()
        outbound.authoritiesFile = settings.authoritiesFile
        let http = OutboundHTTP(outbound)
        defer { http.shutDown() }
        let stripe = StripeClient(
            http: http, base: settings.base, key: key, userAgent: "Tollgate/\(Version.text)",
            logger: self.logger)
        do throws(StripeFailure) {
            let account = try await stripe.run(RetrieveAccount(), within: .seconds(20))
            let endpoints = try await stripe.run(ListWebhookEndpoints(), within: .seconds(20))
            self.report.add(
                "stripe-account", StripeJudgement.account(account), fine: "\(account.id) takes payments")
            self.report.add(
                "webhook",
                StripeJudgement.endpoints(endpoints, publicURL: configuration.publicURL, isLive: key.isLive),
                fine: "enabled at Stripe, with every event that payments need")
        } catch {
            self.report.add(.failed("webhook", "Stripe cannot be asked: \(error.label)"))
        }
    }
}
