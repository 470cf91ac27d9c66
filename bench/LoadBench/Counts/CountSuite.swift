import Foundation
import NIOPosix

/// What an exchange costs on the event loops of the data plane, in numbers that do not depend on the machine's mood:
/// allocations and system calls.
public struct CountSuite: Sendable {
    private let setup: StackSetup

    public init(setup: StackSetup) {
        self.setup = setup
    }

    /// What is counted, and for what.
    public enum Unit: String, CaseIterable, Sendable {
        /// One whole chat, on a connection that has the next one when it is done.
        case exchange
        /// One token of a stream, its share of head and end included.
        case chunk
    }

    public struct Cost: Equatable, Sendable {
        public var allocations: Double
        public var syscalls: Double
        /// By name, those of which there is at least one for ten units.
        public var calls: [String: Double]
    }

    /// - Throws: `StackError`; also when an exchange fails, whose cost would not be an exchange's.
    public func cost(_ unit: Unit, tell: (LocalSuite.Progress) -> Void) async throws -> Cost {
        let scratch = try StackFiles.makeDirectory(
            below: self.setup.parentDirectory, prefix: "tollgate-counts-")
        let files = StartedChildren(directory: scratch)
        defer { _ = files.stopAll() }
        let counter = try AllocationCounter(checkout: self.setup.checkout, directory: scratch)
        var setup = self.setup
        setup.environment.merge(counter.environment) { $1 }
        let stack = try BenchStack.start(setup) { tell(.step($0)) }
        defer { stack.stop() }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let cost = try await self.count(unit, counter, on: stack, group, scratch)
            try await group.shutdownGracefully()
            return cost
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private func count(
        _ unit: Unit, _ counter: AllocationCounter, on stack: BenchStack,
        _ group: MultiThreadedEventLoopGroup,
        _ scratch: String
    ) async throws -> Cost {
        let scenario = try Scenario(yaml: unit.yaml)
        let target = try stack.startLane(.governed)
        let accounts = try stack.makeAccounts(count: 1, credits: 1_000_000)
        guard let proxy = target.processes.first(where: { $0.name == "proxy" }) else {
            throw StackError.call(what: "governed", reason: "has no process")
        }
        let loops = Set(
            ProcFiles.threads(proxy.pid).filter { ProcFiles.name($0)?.hasPrefix("NIO-ELT") == true })
        var run = LoadRun(
            scenario: scenario, requests: RequestPlan(scenario, seed: 1, toldToMock: true), expected: [],
            target: try LoadTarget(target), credentials: Credentials(keys: accounts.flatMap(\.keys)), seed: 1)
        _ = try await run.run(on: group, lane: "governed", round: 0) { _ in }
        // Nothing runs before and behind the counted part, so that each unit is counted whole.
        run.scenario.warmUpSeconds = 0
        let (allocations, first) = try await self.wholeRun(run, group) {
            try counter.allocations(of: loops)
        } end: {
            try counter.allocations(of: loops) - $0
        }
        let (calls, second) = try await self.wholeRun(run, group) {
            try SyscallCounter(of: loops, directory: scratch)
        } end: {
            try $0.finish()
        }
        let shares = calls.mapValues { Double($0) / Double(unit.count(second)) }
        return Cost(
            allocations: Double(allocations) / Double(unit.count(first)),
            syscalls: shares.values.reduce(0, +),
            calls: shares.filter { $0.value >= 0.1 })
    }

    /// On a busy machine the hold store may miss its 100 ms, and a refusal is not an exchange: then it is played again.
    private static let attemptsMax = 5

    /// A run without failures, and what was counted of it.
    private func wholeRun<Counter, Count>(
        _ run: LoadRun, _ group: MultiThreadedEventLoopGroup, begin: () throws -> Counter,
        end: (Counter) throws -> Count
    ) async throws -> (Count, RunResult) {
        var result = RunResult(lane: "governed", round: 0, seconds: 0)
        for _ in 0..<Self.attemptsMax {
            let counter = try begin()
            result = try await run.run(on: group, lane: "governed", round: 1) { _ in }.result
            let count = try end(counter)
            if result.failed == 0, result.succeeded > 0 { return (count, result) }
        }
        throw StackError.call(
            what: "the load", reason: "\(result.failed) of \(result.started) failed: \(result.errors)")
    }
}

extension CountSuite.Unit {
    /// Tokens of one stream.
    private static let chunksOfStream = 100

    fileprivate var yaml: String {
        switch self {
        case .exchange:
            "name: exchange\nconnections: 1\nreply_tokens: 40\nwarm_up_seconds: 2\nduration_seconds: 4"
        case .chunk:
            """
            name: chunk
            stream: true
            connections: 8
            reply_tokens: \(Self.chunksOfStream)
            tokens_per_second: 100
            warm_up_seconds: 2
            duration_seconds: 4
            """
        }
    }

    fileprivate func count(_ result: RunResult) -> Int {
        switch self {
        case .exchange: result.succeeded
        // Those behind the end of the measured part are counted too: whole streams, with what `[DONE]` adds.
        case .chunk: result.succeeded * Self.chunksOfStream
        }
    }
}
