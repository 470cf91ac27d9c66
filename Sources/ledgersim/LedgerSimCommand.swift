import ArgumentParser
import LedgerSim

@main
struct LedgerSimCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledgersim",
        abstract: "Tries to lose a millicredit: the money path in simulated worlds full of faults.",
        discussion: """
            Each seed is one world: 1 to 5 instances that run the product's own machines over a simulated network,
            Redis, Postgres, disk and OpenAI. Faults happen for STEPS events; then everything is healed and has to
            come to rest with every exchange charged exactly as it should be. The same seed is always the same world.

            Exits 1 at the first seed that breaks a rule, with the story of the hold in question.
            """)

    @Option(help: "First seed.") var seed: UInt64 = 1
    @Option(help: "Seeds, counted from the first.") var seeds: Int = 1
    @Option(help: "Events with faults in each world.") var steps: Int = 2_000
    @Option(help: "everything, network, store, ledger, hosts or leases.") var profile = SimProfile.everything
    @Option(help: "Tell the story of this hold instead of that of the first failure.") var hold: String = ""
    @Option(help: "Stop after so many seconds; 0: after the last seed.") var seconds: Int = 0
    @Option(help: "Guards to take out, such as session.reissue; --guards lists them.") var without: [String] =
        []
    @Flag(help: "List the guards that can be taken out.") var guards = false
    @Flag(help: "Go on after a failure, and count them.") var keepGoing = false

    func run() throws {
        if self.guards { return print(SimSettings.Guards.allNames.joined(separator: "\n")) }
        var removed = SimSettings.Guards()
        for name in self.without where !removed.remove(name) {
            throw ValidationError("there is no guard \(name); --guards lists them")
        }
        var totals = Totals()
        let clock = ContinuousClock()
        let started = clock.now
        for number in 0..<UInt64(max(1, self.seeds)) {
            var settings = SimSettings(seed: self.seed &+ number, steps: self.steps)
            settings.without = removed
            settings.profile = self.profile
            let report =
                settings.trace(self.hold) ? Simulation.run(settings) : Simulation.runWithStory(settings)
            totals.add(report)
            if let failure = report.failure {
                print("seed \(report.seed): \(failure.description)")
                for line in report.story { print("    \(line)") }
                print(
                    "    again: ledgersim --seed \(report.seed) --steps \(self.steps) --profile \(self.profile)"
                )
                if !self.keepGoing { throw ExitCode(1) }
            }
            if self.seconds > 0, started.duration(to: clock.now) >= .seconds(self.seconds) { break }
        }
        totals.print(took: started.duration(to: clock.now))
        if totals.failures > 0 { throw ExitCode(1) }
    }
}

extension SimProfile: ExpressibleByArgument {}

/// What all seeds came to.
private struct Totals {
    var seeds = 0
    var steps = 0
    var exchanges = 0
    var granted = 0
    var settled = 0
    var failures = 0
    var faults: [Fault: Int] = [:]

    mutating func add(_ report: SimReport) {
        self.seeds += 1
        self.steps += report.steps
        self.exchanges += report.exchanges
        self.granted += report.granted
        self.settled += report.settled
        self.failures += report.failure == nil ? 0 : 1
        self.faults.merge(report.faults) { $0 + $1 }
    }

    func print(took: Duration) {
        let seconds = Double(took.components.seconds) + Double(took.components.attoseconds) * 1e-18
        let rate = Int(Double(self.steps) / max(seconds, 0.001))
        Swift.print(
            "\(self.seeds) seeds, \(self.steps) steps (\(rate) per second), \(self.exchanges) exchanges, "
                + "\(self.granted) granted, \(self.settled) settled, \(self.failures) failures")
        for fault in Fault.allCases { Swift.print("    \(fault.rawValue): \(self.faults[fault] ?? 0)") }
    }
}
