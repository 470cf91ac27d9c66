import Foundation
import Glibc
import Testing

@testable import LoadBench

@Suite struct StackProcessTests {
    @Test func aStatLineIsReadBehindANameThatHasParentheses() throws {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 200 0 0 11 22 33 44 20 0 1 0 9 1 1"
        let stat = try #require(ProcessStat(parsing: line))
        #expect(stat.ownTicks == 33)
        #expect(stat.reapedTicks == 77)
        #expect(ProcessStat(parsing: "7 (cut) S 1 7") == nil)
        #expect(ProcessStat(parsing: "") == nil)
    }

    @Test func memoryIsWhatBelongsToTheProcess() throws {
        let text =
            "VmRSS:\t    9000 kB\nRssAnon:\t    1000 kB\nRssFile:\t    7976 kB\nRssShmem:\t      24 kB\n"
        let memory = try #require(ProcessMemory(parsing: text))
        #expect(memory.anonymous == 1000 * 1024)
        #expect(memory.shared == 24 * 1024)
        #expect(ProcessMemory(parsing: "Name:\tsleep\nState:\tZ (zombie)\nThreads:\t1\n") == nil)
    }

    /// nginx and Postgres work in children, and those of Postgres come and go.
    @Test func cpuOfAChildCountsOnceWhileItLivesAndWhenItHasEnded() async throws {
        try await StackFixtures.offThePool {
            try StackFixtures.withDirectory { directory in
                let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
                let script =
                    "sh -c '\(busy); touch worked; while [ ! -e go ]; do sleep 0.02; done'; "
                    + "touch ended; while :; do sleep 0.02; done"
                let child = try ChildProgram(
                    name: "busy", ["sh", "-c", script], directory: directory, logPath: directory + "/log")
                try child.wait(60) { access(directory + "/worked", F_OK) == 0 }
                let alone = try ProcessClock.seconds(child.pid, withChildren: false)
                let living = try ProcessClock.seconds(child.pid)
                try StackFiles.write("", to: directory + "/go")
                try child.wait(20) { access(directory + "/ended", F_OK) == 0 }
                let ended = try ProcessClock.seconds(child.pid)
                #expect(living > alone + 0.02, "the child's work is seen while it lives")
                // Ended children are told in ticks; waiting for `go` costs a process each 20 ms.
                #expect(ended > living - 0.03, "and is not lost")
                #expect(ended < living * 2 - alone, "nor counted again")
                try child.stop()
            }
        }
    }

    @Test func aWatchTellsWhatWasUsedBetweenItsEnds() async throws {
        try await StackFixtures.offThePool {
            var watch = try ProcessWatch([.bench])
            try watch.begin()
            let bytes = [UInt8](repeating: 1, count: 64 << 20)
            try watch.sample()
            let sum = bytes.reduce(0) { $0 &+ Int($1) }
            try watch.finish()
            let use = try #require(try watch.settle().first)
            #expect(sum == 64 << 20)
            #expect(use.name == "bench")
            #expect(use.cpuSeconds > 0)
            #expect(use.residentBefore > 0 && use.residentAfter > 0)
            #expect(use.residentPeak >= max(use.residentBefore, use.residentAfter))
        }
    }

    /// As long as nobody has waited for it, its clocks and its status can still be read.
    @Test func aProcessThatCrashedAndIsNotWaitedForHasGone() async throws {
        try await StackFixtures.offThePool {
            try StackFixtures.withDirectory { directory in
                let child = try ChildProgram(name: "sleep", ["sleep", "300"], logPath: directory + "/log")
                var watch = try ProcessWatch([WatchedProcess(name: "proxy", pid: child.pid)])
                child.signal(SIGKILL)
                let end = Date().addingTimeInterval(10)
                while ProcFiles.memory(child.pid) != nil, Date() < end { usleep(10_000) }
                #expect(throws: StackError.gone(process: "proxy", pid: child.pid)) { try watch.sample() }
            }
        }
    }

    /// A proxy that crashed must not look like one that used nothing.
    @Test func aProcessThatHasGoneIsNamed() async throws {
        try await StackFixtures.offThePool {
            try StackFixtures.withDirectory { directory in
                let child = try ChildProgram(name: "sleep", ["sleep", "300"], logPath: directory + "/log")
                var watch = try ProcessWatch([WatchedProcess(name: "proxy", pid: child.pid)])
                try watch.begin()
                try child.stop()
                let gone = StackError.gone(process: "proxy", pid: child.pid)
                #expect(throws: gone) { try watch.sample() }
                #expect(throws: gone) { try watch.finish() }
            }
        }
    }
}
