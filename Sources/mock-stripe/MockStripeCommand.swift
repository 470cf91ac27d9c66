import ArgumentParser
import Dispatch
import MockStripe
import NIOPosix

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

@main
struct MockStripeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mock-stripe",
        abstract: "A faithful and, on demand, nasty fake of Stripe: API, checkout page, signed webhooks.",
        discussion: discussion)

    @Option(help: "Address to listen on.") var host = "127.0.0.1"
    @Option(help: "Port; 0 takes a free one.") var port = 0
    @Option(help: "File that gets the port number once the mock listens.") var portFile: String?
    @Option(help: "Where events are sent (http://…); may be given several times.") var webhookURL: [String] =
        []
    @Option(help: "Secret that deliveries are signed with.") var webhookSecret = "whsec_mock"
    @Option(help: "The only API key that is accepted (default: any test key); sk_live_… makes livemode true.")
    var key: String?
    @Option(help: "Seed of ids (default: a different one in each process).") var seed: UInt64?
    @Option(help: "API version of events, and of calls without Stripe-Version.")
    var apiVersion = "2025-09-30.clover"
    @Option(help: "Milliseconds after which bank debits clear or bounce by themselves.")
    var bankDebitMs = 2_000
    @Option(help: "Milliseconds before a delivery is tried again; doubles each time, up to 5 s.")
    var retryMs = 200
    @Option(help: "Attempts after which a delivery is given up.") var attempts = 30
    @Option(help: "Seconds that a delivery may take.") var deliveryTimeout = 10

    static let discussion = """
        Serves /v1/checkout/sessions, customers, payment_methods, payment_intents, charges, refunds, disputes,
        balance_transactions, balance, events, webhook_endpoints and account. Parameters that Stripe has
        and this mock does not are refused with parameter_unknown. The checkout page is at a session's url; its
        buttons are plain forms: POST /c/pay/SESSION with outcome=card|declined|insufficient_funds|card_then_declined|
        card_then_authentication|bank|bank_succeeds|bank_fails|cancel.

        Control (POST, JSON or form)
          /_mock/pay         {"session", "with": an outcome as above}
          /_mock/payment     {"payment" or "session", "outcome": succeed|fail}: a bank debit's end
          /_mock/refund      {"refund", "status": succeeded|failed|canceled}, also long after it succeeded
          /_mock/dispute     {"payment" or "session" or "dispute", "amount", "reason", "action": open|inquiry|
                             respond|escalate|close_warning|win|lose}
          /_mock/card        {"payment_method" or "customer", "behaviour": good|declined|insufficient_funds|
                             expired|authentication_required|bank_debit}
          /_mock/expire      {"session"}, or all open ones
          /_mock/advance     {"seconds"}: the mock's time goes on; signatures keep the true time
          /_mock/faults      {"duplicates", "twins", "delay_ms", "shuffle_seed", "drop", "wrong_livemode",
                             "bad_timestamp", "skew_seconds", "bad_signature", "concurrency", "late_fees"}
          /_mock/api_faults  {"kind": error_500|error_500_after|rate_limit|lock_timeout|conflict|hang|
                             hang_after|cut|cut_after|proxy_page_after|slow, "calls", "method", "path", "milliseconds", "clear"}
          /_mock/delivery    {"on": false|true, "hurry": true}
          /_mock/resend      {"event"} · /_mock/settle_fees · /_mock/reset
        GET /_mock/stats; GET /_mock/log[?after_calls=N&after_deliveries=N]
        """

    func validate() throws {
        guard (0...65_535).contains(port) else { throw ValidationError("--port is 0…65535") }
        guard bankDebitMs >= 0, retryMs > 0, attempts > 0, deliveryTimeout > 0 else {
            throw ValidationError("times and counts are positive")
        }
        for url in webhookURL where !url.hasPrefix("http://") {
            throw ValidationError("--webhook-url must begin with http://")
        }
    }

    func run() async throws {
        var settings = MockStripeServer.Configuration()
        settings.host = host
        settings.port = port
        settings.webhooks = webhookURL.map { .init(url: $0, secret: webhookSecret) }
        settings.key = key
        settings.seed = seed
        settings.apiVersion = apiVersion
        settings.bankDebitMilliseconds = bankDebitMs
        settings.retryMilliseconds = retryMs
        settings.attemptsMax = attempts
        settings.deliveryTimeoutSeconds = deliveryTimeout
        let signals = Self.terminationSignals()
        let server = try await MockStripeServer.start(settings, on: MultiThreadedEventLoopGroup.singleton)
        if let portFile { try Self.write("\(server.port)\n", to: portFile) }
        print("mock-stripe listens on \(server.baseURL)")
        fflush(nil)
        for await _ in signals { break }
        try await server.shutdown()
    }

    /// The first SIGTERM or SIGINT.
    private static func terminationSignals() -> AsyncStream<Int32> {
        AsyncStream { continuation in
            for number in [SIGTERM, SIGINT] {
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number)
                source.setEventHandler {
                    // The handler keeps its source alive until the signal it waits for.
                    source.cancel()
                    continuation.yield(number)
                }
                source.resume()
            }
        }
    }

    /// Writes beside the file and renames, so that a reader never sees half a number.
    private static func write(_ text: String, to path: String) throws {
        let draft = path + ".tmp"
        guard let file = fopen(draft, "w") else { throw ValidationError("cannot write \(path)") }
        fputs(text, file)
        fclose(file)
        guard rename(draft, path) == 0 else { throw ValidationError("cannot write \(path)") }
    }
}
