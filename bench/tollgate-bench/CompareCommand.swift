import ArgumentParser
import Foundation
import LoadBench

struct CompareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Tollgate and other proxies on this machine, on the same mock, in turns.",
        discussion: """
            Lanes: direct (no proxy), nginx, haproxy, litellm (where bench/.venv-litellm has it), plain (Tollgate, charging \
            off), governed (Tollgate as it is shipped). Each round plays every lane once; ratios are of the same round. The \
            proxy has one core and one thread for itself, everything else shares the others.
            """)

    @Argument(help: "Scenarios: names ('tollgate-bench list'), or paths of files.") var scenarios: [String] =
        ["chat-small"]
    @Option(help: "Lanes, comma-separated.") var lanes = "direct,nginx,haproxy,plain,governed"
    @Option(help: "Rounds that count, behind one of warm-up.") var rounds = 5
    @Option(help: "The lane that ratios are over.") var baseline = "nginx"
    @Option(help: "Seconds to measure instead of the scenario's.") var duration: Double?
    @Option(help: "TLS on these sides of the proxies: none, client, upstream, both.") var tls = TLSSides.none
    @Option(help: "Directory of tollgate and mock-openai; default: where this program is.") var programs:
        String?
    @Option(help: "Rate card that charges are computed from; default: the newest of ratecards/.")
    var rateCard: String?
    @Option(help: "Of all that is random.") var seed: UInt64 = 1
    @Option(help: "Event loops of the load.") var threads = 1
    @Flag(help: "Leave it to the system which core runs what.") var noPin = false
    @Flag(help: "Keep the files of the deployment.") var keepFiles = false
    @OptionGroup var outputs: Outputs

    enum TLSSides: String, ExpressibleByArgument, CaseIterable { case none, client, upstream, both }

    func validate() throws {
        guard (1...1000).contains(self.rounds) else {
            throw ValidationError("--rounds must be from 1 to 1000")
        }
        guard (1...64).contains(self.threads) else { throw ValidationError("--threads must be from 1 to 64") }
        if let duration, !(0.1...86_400).contains(duration) {
            throw ValidationError("--duration must be from 0.1 to 86400")
        }
        _ = try self.namedLanes()
    }

    private func namedLanes() throws -> [StackLane] {
        try self.lanes.split(separator: ",").map { name in
            guard let lane = StackLane(rawValue: String(name)) else {
                let known = StackLane.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("--lanes: \(name) is none of \(known)")
            }
            return lane
        }
    }

    func run() async throws {
        let files = try self.scenarios.map(ScenarioFile.read)
        let bar = ProgressBar()
        let setup = try self.setup()
        let lanes = try self.namedLanes().filter { lane in
            let isThere = setup.canStart(lane)
            if !isThere { bar.say("left out: \(lane.rawValue) is not installed") }
            return isThere
        }
        let suite = LocalSuite(
            setup: setup, lanes: lanes, rounds: self.rounds, rateCard: try RateCardFile.read(self.rateCard),
            seed: self.seed, threads: self.threads)
        try setup.layout.pinThisProcess()
        var result = SuiteResult(
            startedAt: Date().ISO8601Format(),
            machine: .read(layout: setup.layout, versions: setup.versions(lanes)), scenarios: [])
        for file in files {
            bar.say("==> \(file.scenario.name): \(file.scenario.summary)")
            var scenario = file.scenario
            if let duration { scenario.durationSeconds = duration }
            result.scenarios.append(try await suite.play(scenario, yaml: file.yaml) { bar.show($0) })
        }
        try self.outputs.write(result, baseline: self.baseline)
        try result.passOrFail()
    }

    private func setup() throws -> StackSetup {
        let directory = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent()
        guard let checkout = ScenarioFile.directory()?.deletingLastPathComponent().deletingLastPathComponent()
        else {
            throw ValidationError(
                "run it in a checkout of Tollgate: rate cards and scenarios are looked for there")
        }
        let layout = self.noPin ? CoreLayout.unpinned : .ofThisMachine()
        var setup = StackSetup(
            programs: self.programs ?? directory.path, checkout: checkout.path, layout: layout)
        setup.tls = TLSLegs(
            client: self.tls == .client || self.tls == .both,
            upstream: self.tls == .upstream || self.tls == .both)
        setup.keepsFiles = self.keepFiles
        return setup
    }
}

/// The rate card that is not asked for by name is the newest that ships.
enum RateCardFile {
    static func read(_ path: String?) throws -> String {
        guard let file = path.map({ URL(filePath: $0) }) ?? self.newest(),
            let text = try? String(contentsOf: file, encoding: .utf8)
        else { throw ValidationError("--rate-card: cannot read \(path ?? "ratecards/openai-*.yaml")") }
        return text
    }

    private static func newest() -> URL? {
        guard let scenarios = ScenarioFile.directory() else { return nil }
        let directory = scenarios.deletingLastPathComponent().deletingLastPathComponent().appending(
            path: "ratecards")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
        return names.filter { $0.hasPrefix("openai-") && $0.hasSuffix(".yaml") }.max()
            .map { directory.appending(path: $0) }
    }
}
