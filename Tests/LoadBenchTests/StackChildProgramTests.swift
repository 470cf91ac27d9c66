import Foundation
import Glibc
import Testing

@testable import LoadBench

@Suite struct StackChildProgramTests {
    private static func shell(_ script: String, _ directory: String, prefix: [String] = []) throws
        -> ChildProgram
    {
        try ChildProgram(
            name: "script", ["sh", "-c", script], prefix: prefix, environment: ["WORD": "given"],
            directory: directory, logPath: directory + "/log")
    }

    /// Not there, or not waited for by whoever adopted it.
    private static func hasEnded(_ pid: Int32) -> Bool {
        ProcFiles.read("/proc/\(pid)/stat")?.contains(") Z ") ?? true
    }

    /// Whoever reads the error must not have to look for the log.
    @Test func anEarlyEndIsToldWithItsStatusAndTheLastLines() async throws {
        try await StackFixtures.offThePool {
            try StackFixtures.withDirectory { directory in
                let child = try Self.shell("echo first; echo $WORD >&2; exit 3", directory)
                let expected = StackError.endedEarly(program: "script", status: 3, tail: "first\ngiven")
                #expect(throws: expected) { try child.wait(20) { false } }
                #expect(throws: expected) { try child.checkRunning() }
            }
        }
    }

    @Test func aProgramThatIsMissingSaysSoInItsLog() async throws {
        try await StackFixtures.offThePool {
            try StackFixtures.withDirectory { directory in
                let child = try ChildProgram(
                    name: "none", ["/no/such/program"], logPath: directory + "/log")
                #expect(Patience.wait(20) { !child.isRunning })
                #expect(child.status == 127)
                #expect(child.tail.contains("/no/such/program"))
            }
        }
    }

    @Test func stoppingIsPoliteFirstAndMayBeRepeated() async throws {
        try await StackFixtures.offThePool {
            try StackFixtures.withDirectory { directory in
                let child = try Self.shell(
                    "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", directory)
                try child.wait(20) { child.tail == "up" }
                try child.stop()
                try child.stop()
                #expect(child.status == 0)
                #expect(child.tail == "up\nbye")
            }
        }
    }

    @Test func whatDoesNotStopIsKilledAndThatIsAnError() async throws {
        try await StackFixtures.offThePool {
            try StackFixtures.withDirectory { directory in
                let child = try Self.shell("trap '' TERM; echo up; while :; do sleep 0.05; done", directory)
                try child.wait(20) { child.tail == "up" }
                #expect(throws: StackError.didNotStop(program: "script", seconds: 0.2, tail: "up")) {
                    try child.stop(seconds: 0.2)
                }
                #expect(child.status == 128 + SIGKILL)
            }
        }
    }

    /// A harness that is killed must not leave a deployment behind: the kernel is told when a child is started.
    @Test func aChildIsToldToEndWhenItsParentDies() async throws {
        try await StackFixtures.offThePool {
            try StackFixtures.withDirectory { directory in
                // A harness in small: what ends is setpriv's parent, by SIGKILL, and nobody tells the child.
                let pidFile = directory + "/child"
                let script = "setpriv --pdeathsig TERM -- sleep 300 & echo $! > \(pidFile); sleep 300"
                let parent = try Self.shell(script, directory)
                try parent.wait(20) {
                    guard
                        let child = Int32((ProcFiles.read(pidFile) ?? "").split(separator: "\n").first ?? "")
                    else {
                        return false
                    }
                    return ProcFiles.name(child) == "sleep"
                }
                let child = try #require(
                    Int32((ProcFiles.read(pidFile) ?? "").split(separator: "\n").first ?? ""))
                let others = ProcFiles.children(parent.pid).filter { $0 != child }
                parent.signal(SIGKILL)
                #expect(Patience.wait(20) { Self.hasEnded(child) })
                for other in others { kill(other, SIGTERM) }
            }
        }
    }

    /// A descriptor that lives on in a server keeps a client waiting for the end of its connection.
    @Test func noDescriptorOfOursIsInherited() async throws {
        try await StackFixtures.offThePool {
            try StackFixtures.withDirectory { directory in
                let leaking = open(directory + "/leak", O_WRONLY | O_CREAT, 0o600)
                defer { close(leaking) }
                let done = try ToolRun.run(["ls", "-l", "/proc/self/fd"], scratch: directory).checked()
                #expect(!done.output.contains("/leak"))
            }
        }
    }

    @Test func aToolIsToldWithItsStatusAndBothOutputs() async throws {
        try await StackFixtures.offThePool {
            let done = try ToolRun.run(["sh", "-c", "echo out; echo err >&2; exit 4"])
            #expect(done.status == 4 && done.output == "out\n" && done.errors == "err\n")
            #expect(throws: StackError.failed(program: "sh", status: 4, tail: "out\nerr")) {
                try done.checked()
            }
            #expect(throws: StackError.didNotStop(program: "sleep", seconds: 0.1, tail: "")) {
                try ToolRun.run(["sleep", "300"], seconds: 0.1)
            }
        }
    }

    @Test func aFreePortIsOneWhereNobodyListens() throws {
        let port = try LoopbackPort.free()
        #expect(!LoopbackPort.isListening(port))
        #expect(port < 32_768, "the kernel must not give it to a connecting socket")
    }
}
