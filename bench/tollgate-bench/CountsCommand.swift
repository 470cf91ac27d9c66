import ArgumentParser
import Foundation
import LoadBench

struct CountsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "counts",
        abstract: "Allocations and system calls of an exchange, and of a chunk of a stream.",
        discussion: """
            Counted on the event loops of the data plane, with everything on (auth, hold, journal, capture, ledger). Unlike \
            times they are the same on a busy machine. With --limits the exit code is 1 when one is above its limit. Needs cc \
            and strace, and the right to trace (root, or kernel.yama.ptrace_scope=0).
            """)

    @Option(help: "File of limits to hold them against, such as bench/limits.yaml.") var limits: String?
    @Option(help: "Whose limits in that file: the kind of build that is counted.") var build = "release"
    @Option(help: "Directory of tollgate and mock-openai; default: where this program is.") var programs:
        String?

    func run() async throws {
        let limits = try self.readLimits()
        let bar = ProgressBar()
        Interruption.watch()
        let suite = CountSuite(setup: try CompareCommand.setup(programs: self.programs, layout: .unpinned))
        var violations: [String] = []
        for unit in CountSuite.Unit.allCases {
            let cost = try await suite.cost(unit) { bar.show($0) }
            print(
                "\(unit.rawValue): \(Self.text(cost.allocations)) allocations, \(Self.text(cost.syscalls)) system calls"
            )
            for (name, count) in cost.calls.sorted(by: { $0.value > $1.value }) {
                print("    \(name) \(Self.text(count))")
            }
            violations += try limits?.violations(of: cost, unit, build: self.build) ?? []
        }
        for violation in violations { bar.say("failed: \(violation)") }
        if !violations.isEmpty { throw ExitCode(1) }
    }

    private func readLimits() throws -> CountLimits? {
        guard let path = self.limits else { return nil }
        guard let yaml = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw ValidationError("--limits: cannot read \(path)")
        }
        do {
            let limits = try CountLimits(yaml: yaml)
            try limits.check(build: self.build)
            return limits
        } catch { throw ValidationError("\(path): \(error)") }
    }

    private static func text(_ number: Double) -> String { String((number * 10).rounded() / 10) }
}
