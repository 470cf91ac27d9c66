import ArgumentParser
import Billing
import Foundation
import StripeAPI

struct StripeListenCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "listen-check",
        abstract: "Prove that the running deployment takes what Stripe signs, and nothing else.",
        discussion: """
            Signs an event of a type that leads to nothing with each secret of STRIPE_WEBHOOK_SECRET and posts it to the \
            webhook; then once with a secret that nobody has. Exit 1 unless all but the last are taken. Reads \
            STRIPE_SECRET_KEY for the mode, live or test, that the event must have.
            """)

    @Option(help: "The deployment's URL; PUBLIC_URL, or where LISTEN is, when it is not given.")
    var url: String?

    func run() async throws {
        try await reporting {
            var reader = SettingsReader.environment()
            let settings = StripeSettings(&reader, recharges: false)
            let listen = reader.listenAddress("LISTEN", default: "127.0.0.1:8080")
            if settings.key == nil, reader.problems.isEmpty {
                reader.reject("STRIPE_SECRET_KEY", "is required: it says whether events are live or test")
            }
            guard reader.problems.isEmpty, let key = settings.key else {
                throw BadConfiguration(problems: reader.problems)
            }
            let text = self.url ?? reader.text("PUBLIC_URL") ?? "http://\(listen)"
            guard let base = try? OutboundBase(parsing: text) else {
                throw UsageError("the URL must be https://…, or http://… on this machine")
            }
            var configuration = OutboundHTTP.Configuration()
            configuration.authoritiesFile = settings.authoritiesFile
            let http = OutboundHTTP(configuration)
            defer { http.shutDown() }
            let check = ListenCheck(http: http, base: base, isLive: key.isLive)
            guard try await check.run(settings.signingSecrets) else { throw Exit.checkFailed }
        }
    }
}

/// Posts signed events to a webhook and judges the answers.
struct ListenCheck {
    /// What a webhook said of one delivery.
    enum Answer: Sendable, Hashable {
        case accepted
        /// 400, with the code of the reply.
        case refused(code: String)
        case status(Int)
        case unreachable(String)
    }

    let http: OutboundHTTP
    let base: OutboundBase
    /// Must be the deployment's.
    let isLive: Bool

    static let path = "/api/stripe/webhook"

    /// Prints a line for each delivery; true when all answers are as they must be.
    func run(_ secrets: [StripeSigningSecret]) async throws -> Bool {
        print("webhook \(self.base)\(Self.path), \(self.isLive ? "live" : "test") mode")
        var isProven = true
        for (index, secret) in secrets.enumerated() {
            let answer = await self.deliver(signedWith: secret)
            isProven = isProven && answer == .accepted
            print("secret \(index + 1) of \(secrets.count): \(Self.words(answer))")
        }
        guard let wrong = StripeSigningSecret("whsec_" + Self.randomText()) else {
            preconditionFailure("letters and digits are a secret")
        }
        let answer = await self.deliver(signedWith: wrong)
        let isRefused = answer == .refused(code: WebhookRefusal.wrongSignature.rawValue)
        print("wrong secret: \(isRefused ? "refused, as it must be" : Self.words(answer))")
        return isProven && isRefused
    }

    private func deliver(signedWith secret: StripeSigningSecret) async -> Answer {
        let now = Clock.wallMilliseconds() / 1000
        let body = Array(Self.event(at: now, isLive: self.isLive).utf8)
        let signature = body.withUnsafeBytes { StripeSignature.header(body: $0, secret: secret, at: now) }
        let request = OutboundRequest(
            .post, self.base, target: Self.path,
            headers: [.init("Content-Type", "application/json"), .init("Stripe-Signature", signature)],
            body: body, timeout: .seconds(20))
        do throws(OutboundFailure) {
            return Self.answer(try await self.http.send(request))
        } catch {
            return .unreachable(error.label)
        }
    }

    static func answer(_ reply: OutboundReply) -> Answer {
        switch reply.status {
        case 200..<300: return .accepted
        case 400:
            struct Refusal: Decodable { var code: String }
            let refusal = try? JSONDecoder().decode(Refusal.self, from: Data(reply.body))
            return refusal.map { .refused(code: String($0.code.prefix(64))) } ?? .status(400)
        default: return .status(reply.status)
        }
    }

    /// No type of Stripe's begins so; it is stored as ignored.
    static func event(at seconds: Int64, isLive: Bool) -> String {
        """
        {"id":"evt_tollgate\(self.randomText())","object":"event","created":\(seconds),"livemode":\(isLive),\
        "type":"tollgate.listen_check","data":{"object":{"object":"listen_check"}}}
        """
    }

    private static func randomText() -> String {
        var random = SystemRandomNumberGenerator()
        return (0..<2).map { _ in String(random.next(), radix: 36) }.joined() + "00000000"
    }

    private static func words(_ answer: Answer) -> String {
        switch answer {
        case .accepted: "accepted"
        case .refused(let code): "refused: \(code)"
        case .status(503): "answered 503: purchases are not set up there, or its ledger is away"
        case .status(let status): "answered \(status)"
        case .unreachable(let reason): "not reached: \(reason)"
        }
    }
}
