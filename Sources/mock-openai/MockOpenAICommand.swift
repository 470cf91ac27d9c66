import ArgumentParser
import Dispatch
import MockOpenAI
import NIOPosix

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

@main
struct MockOpenAICommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mock-openai",
        abstract: "A faithful and, on demand, nasty fake of OpenAI's API.",
        discussion: discussion)

    @Option(help: "Address to listen on.") var host = "127.0.0.1"
    @Option(help: "Port; 0 takes a free one.") var port = 0
    @Option(help: "Event loop threads.") var threads = 1
    @Option(help: "File that gets the port number once the mock listens.") var portFile: String?
    @Option(help: "PEM certificate chain; with --tls-key the mock speaks TLS.") var tlsCert: String?
    @Option(help: "PEM private key.") var tlsKey: String?
    @Option(help: "The only API key that is accepted (default: any).") var requireKey: String?
    @Option(help: "Known models, comma-separated; a trailing * is a wildcard.") var models: String?
    @Flag(help: "Reply with the requested model name, not the dated snapshot.") var echoModel = false
    @Option(help: "Served tier for requests without one.") var defaultTier = "default"
    @Option(help: "Default directives, e.g. 'tokens=64 tps=50' (environment: MOCK_DIRECTIVES).")
    var directives: String?
    @Option(help: "Share of chat requests (0…1) that get one fault of --faults.") var faultRate = 0.0
    @Option(help: "Faults for --fault-rate, comma-separated.") var faults: String?
    @Option(help: "Seed of --fault-rate.") var seed: UInt64 = 1
    @Option(help: "none, memory, or a file to append to.") var log = "memory"
    @Option(help: "Rows kept by --log memory.") var logLimit = 1_000_000

    static var discussion: String {
        let keys = Behaviour.keys.map { "  \($0.key.padded(14)) \($0.meaning)" }.joined(separator: "\n")
        let faults = Faults.named.map { "  \($0.word.padded(17)) \($0.meaning)" }.joined(separator: "\n")
        return """
            Serves POST /v1/chat/completions, /v1/responses, /v1/completions, /v1/embeddings, /v1/moderations,
            /v1/images/generations, /v1/audio/speech and /v1/audio/transcriptions, GET /v1/responses/{id},
            /v1/models and /v1/models/{id}. Replies depend only on the request: of chat, prompt_tokens =
            min(ceil(bytes of contents and tools / 4) + 4 per message + 3, body bytes), completion_tokens =
            content deltas + reasoning + audio + rejected predictions.

            Directives, in the body's text as [[mock key=value key=value]]
            or in a header X-Mock: key=value; key=value
            \(keys)

            Faults
            \(faults)

            Control: POST /_mock/barrier {"hold":true} withholds replies until POST /_mock/release;
            GET /_mock/stats; GET /_mock/log[?since=SEQ] (NDJSON, one row per served request);
            POST /_mock/reset.
            """
    }

    func validate() throws {
        guard (0...65_535).contains(port), (1...256).contains(threads) else {
            throw ValidationError("--port is 0…65535, --threads 1…256")
        }
        guard (tlsCert == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-cert and --tls-key go together")
        }
        guard (0...1).contains(faultRate) else { throw ValidationError("--fault-rate is 0…1") }
        _ = try settings()
    }

    private func settings() throws -> MockOpenAIServer.Configuration {
        var settings = MockOpenAIServer.Configuration()
        settings.host = host
        settings.port = port
        settings.requiredKey = requireKey
        if let models { settings.models = models.split(separator: ",").map(String.init) }
        settings.echoModel = echoModel
        settings.defaultTier = defaultTier
        settings.faultRate = faultRate
        settings.seed = seed
        settings.logLimit = logLimit
        settings.log = log == "none" ? .none : log == "memory" ? .memory : .file(log)
        if let tlsCert, let tlsKey { settings.tls = .init(certificatePath: tlsCert, keyPath: tlsKey) }
        do throws(Behaviour.BadDirective) {
            if let words = getenv("MOCK_DIRECTIVES") {
                try settings.behaviour.apply(String(cString: words).utf8)
            }
            if let directives { try settings.behaviour.apply(directives.utf8) }
        } catch {
            throw ValidationError("unknown or bad directive: \(error.key)")
        }
        for word in (faults ?? "").split(separator: ",") {
            guard let fault = Faults(word: String(word)) else {
                throw ValidationError("unknown fault: \(word)")
            }
            settings.randomFaults.insert(fault)
        }
        return settings
    }

    func run() async throws {
        Self.raiseDescriptorLimit()
        let signals = Self.terminationSignals()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        let server = try await MockOpenAIServer.start(settings(), on: group)
        if let portFile { try Self.write("\(server.port)\n", to: portFile) }
        print("mock-openai listens on \(server.baseURL)")
        fflush(nil)
        for await _ in signals { break }
        try await server.shutdown()
        try await group.shutdownGracefully()
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

    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
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

extension String {
    fileprivate func padded(_ width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
