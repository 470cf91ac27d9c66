import ArgumentParser
import Foundation
import LoadBench

struct CompareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Tollgate and other proxies on this machine, on the same mock, in turns.",
        discussion: """
            Lanes: direct (no proxy), nginx, haproxy, litellm (where bench/.venv-litellm has it: python3 -m venv \
            bench/.venv-litellm && bench/.venv-litellm/bin/pip install 'litellm[proxy]'), plain (Tollgate, charging off), \
            governed (Tollgate as it is shipped). Each round plays every lane once. Proxies have one core, \
            one thread, and the load in turns; everything else shares the other cores.
            """)

    @Argument(help: "Scenarios: names ('tollgate-bench list'), or paths of files.") var scenarios: [String] =
        ["chat-small"]
    @Option(help: "Lanes, comma-separated, in the order of their turns; default: all that are installed.")
    var lanes: String?
    @Option(help: "Rounds that count, behind one of warm-up.") var rounds = 5
    @Option(help: "The lane that ratios are over.") var baseline = "nginx"
    @Option(help: "Seconds to measure instead of the scenario's.") var duration: Double?
    @Option(help: "Accounts instead of the scenario's.") var accounts: Int?
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
        if let accounts, !(1...1_000_000).contains(accounts) {
            throw ValidationError("--accounts must be from 1 to 1000000")
        }
        _ = try self.namedLanes()
    }

    private func namedLanes() throws -> [StackLane] {
        guard let lanes = self.lanes else { return [.direct, .nginx, .haproxy, .litellm, .plain, .governed] }
        return try lanes.split(separator: ",").map { name in
            guard let lane = StackLane(rawValue: String(name)) else {
                let known = StackLane.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("--lanes: \(name) is none of \(known)")
            }
            return lane
        }
    }

    func run() async throws {
        let files = try self.scenarios.map(ScenarioFile.read).map {
            $0.played(with: "accounts", self.accounts, at: \.accounts)
                .played(with: "duration", self.duration, at: \.durationSeconds)
        }
        let bar = ProgressBar()
        let setup = try self.setup()
        let lanes = try self.namedLanes().filter { lane in
            let isThere = setup.canStart(lane)
            // Few have it, and those who did not name it do not miss it.
            if !isThere, lane != .litellm || self.lanes != nil {
                bar.say("left out: \(lane.rawValue) is not installed (see compare --help)")
            }
            return isThere
        }
        guard !lanes.isEmpty else { throw ValidationError("--lanes: none of them is here") }
        if !lanes.contains(where: { $0.rawValue == self.baseline }) {
            bar.say("no ratios: \(self.baseline) is none of the lanes")
        }
        let rateCard = try RateCardFile.read(self.rateCard)
        try RateCardFile.check(rateCard, prices: files)
        let suite = LocalSuite(
            setup: setup, lanes: lanes, rounds: self.rounds, rateCard: rateCard, seed: self.seed,
            threads: self.threads)
        Interruption.watch { [outputs, baseline] in try outputs.write($0, baseline: baseline) }
        try setup.layout.pinThisProcess()
        let machine = Machine.read(layout: setup.layout, versions: setup.versions(lanes))
        let played = await Played.play(files, on: machine, bar) { file, tell in
            try await suite.play(file.scenario, yaml: file.yaml, tell: tell)
        }
        try played.writeAndJudge(self.outputs, baseline: self.baseline)
    }

    private func setup() throws -> StackSetup {
        var setup = try Self.setup(programs: self.programs, layout: self.noPin ? .unpinned : .ofThisMachine())
        setup.tls = TLSLegs(
            client: self.tls == .client || self.tls == .both,
            upstream: self.tls == .upstream || self.tls == .both)
        setup.keepsFiles = self.keepFiles
        return setup
    }

    /// - Parameter programs: directory of Tollgate's; nil: where this one is.
    static func setup(programs: String?, layout: CoreLayout) throws -> StackSetup {
        let directory = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent()
        guard let checkout = ScenarioFile.directory()?.deletingLastPathComponent().deletingLastPathComponent()
        else {
            throw ValidationError(
                "run it in a checkout of Tollgate: rate cards and scenarios are looked for there")
        }
        return StackSetup(programs: programs ?? directory.path, checkout: checkout.path, layout: layout)
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

    /// Before anything is started.
    static func check(_ rateCard: String, prices files: [ScenarioFile]) throws {
        for file in files {
            do { _ = try UsagePricer(rateCard: rateCard, model: file.scenario.model) } catch {
                throw ValidationError("\(file.scenario.name): \(error)")
            }
        }
    }

    /// `openai@2026-11-12` of the file `openai-2026-11-12.yaml`.
    static func newestName() throws -> String {
        guard let name = self.newest()?.deletingPathExtension().lastPathComponent else {
            throw ValidationError("cannot find ratecards/openai-*.yaml")
        }
        return "openai@" + name.dropFirst("openai-".count)
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
