import ArgumentParser
import Foundation
import LoadBench
import NIOPosix

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Load for a deployment that is there.",
        discussion: """
            Keys: --key, --keys-file (a key a line), or OPENAI_API_KEY. Their accounts are charged for what is asked. With \
            --rate-card their balances, before and after, are held against the usage of all replies: give one key of each \
            account then, and let nobody else use them meanwhile. What a stream cost that was cut off and not drained nobody \
            else knows; then the books are not judged. With --reference-url replies are held against those of the upstream \
            itself, which has to answer the same question in the same bytes, as mock-openai does when it is told to (--mock).
            """)

    @Argument(help: "Scenarios: names ('tollgate-bench list'), or paths of files.") var scenarios: [String]
    @Option(help: "Base URL, as OpenAI's SDKs take it: https://host[:port]/v1.") var url: String
    @Option(help: "API key; can be given more than once.") var key: [String] = []
    @Option(help: "File with an API key a line.") var keysFile: String?
    @Option(help: "API key of an account without credits; can be given more than once.") var emptyKey:
        [String] = []
    @Flag(help: "The upstream is mock-openai: it is told how long to answer.") var mock = false
    @Option(help: "Base URL of the upstream itself, to compare replies with.") var referenceURL: String?
    @Option(help: "A key that the upstream takes.") var referenceKey = "sk-reference"
    @Option(help: "Rate card that charges are computed from; without it the books are not looked at.")
    var rateCard: String?
    @Option(help: "PEM file of the certificate authority to trust; default: the system's.") var caFile:
        String?
    @Option(help: "Times that each scenario is played.") var rounds = 1
    @Option(help: "Seconds to measure instead of the scenario's.") var duration: Double?
    @Option(help: "Of all that is random.") var seed: UInt64 = 1
    @Option(help: "Event loops of the load.") var threads = 1
    @OptionGroup var outputs: Outputs

    func validate() throws {
        guard (1...1000).contains(self.rounds) else {
            throw ValidationError("--rounds must be from 1 to 1000")
        }
        guard (1...64).contains(self.threads) else { throw ValidationError("--threads must be from 1 to 64") }
        if let duration, !(0.1...86_400).contains(duration) {
            throw ValidationError("--duration must be from 0.1 to 86400")
        }
    }

    func run() async throws {
        let files = try self.scenarios.map(ScenarioFile.read).map {
            $0.played(with: "duration", self.duration, at: \.durationSeconds)
        }
        let credentials = try self.credentials()
        for file in files where file.scenario.misbehaviour.shortOfMoney > 0 && credentials.emptyKeys.isEmpty {
            throw ValidationError("\(file.scenario.name) has clients without credits: give --empty-key")
        }
        let rateCard = try self.rateCard.map(RateCardFile.read)
        if let rateCard { try RateCardFile.check(rateCard, prices: files) }
        let suite = RemoteSuite(
            target: try self.target(self.url), credentials: credentials,
            reference: try self.referenceURL.map { url in
                (try self.target(url), self.referenceKey)
            },
            isMock: self.mock, rateCard: rateCard, rounds: self.rounds,
            seed: self.seed)
        Interruption.watch { [outputs] in try outputs.write($0, baseline: nil) }
        DescriptorLimit.raise()
        let bar = ProgressBar()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: self.threads)
        let machine = Machine.read(layout: .unpinned, versions: [])
        let played = await Played.play(files, on: machine, bar) { file, tell in
            try await suite.play(file.scenario, yaml: file.yaml, on: group, tell: tell)
        }
        try await group.shutdownGracefully()
        try played.writeAndJudge(self.outputs, baseline: nil)
    }

    private func target(_ url: String) throws -> LoadTarget {
        do { return try LoadTarget(baseURL: url, caFile: self.caFile) } catch {
            throw ValidationError("\(error)")
        }
    }

    private func credentials() throws -> Credentials {
        var keys = self.key
        if let keysFile {
            guard let text = try? String(contentsOfFile: keysFile, encoding: .utf8) else {
                throw ValidationError("--keys-file: cannot read \(keysFile)")
            }
            keys += text.split(whereSeparator: \.isWhitespace).map(String.init)
        }
        if keys.isEmpty, let key = ProcessInfo.processInfo.environment["OPENAI_API_KEY"], !key.isEmpty {
            keys = [key]
        }
        guard !keys.isEmpty else {
            throw ValidationError("no API key: give --key, --keys-file or OPENAI_API_KEY")
        }
        return Credentials(keys: keys, emptyKeys: self.emptyKey)
    }
}
