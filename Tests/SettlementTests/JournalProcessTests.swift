import Glibc
import Metering
import MoneyPath
import Synchronization
import Testing

@testable import Settlement

/// The name of the child's directory; set only in the child.
private let childRoot = getenv("TOLLGATE_JOURNAL_CHILD").map { String(cString: $0) }

@Suite(.timeLimit(.minutes(2))) struct JournalProcessTests {
    /// A process that is killed while it writes loses nothing that `end` had returned for: the test runs itself
    /// again, as the process that dies.
    @Test func whatEndReturnedForSurvivesKill9() async throws {
        let disk = JournalDisk()
        let status = JournalDisk.run(
            "/proc/self/exe",
            ["--testing-library", "swift-testing", "--filter", "JournalProcessTests.killedWhileItWrites"],
            environment: ["TOLLGATE_JOURNAL_CHILD=\(disk.root)"])
        #expect(status & 0x7f == SIGKILL)
        let promised = try Self.numbers(in: "\(disk.root)/promised")
        #expect(promised.count > 500)
        let findings = try JournalRecoveryScan(root: disk.root).scan(except: [])
        let ended = try #require(findings.ended.first)
        let found = Set(ended.recovered.waiting.map(\.hold.low))
        #expect(promised.isSubset(of: found))
        // What was cut off between OPEN and end is an orphan, and everything is one or the other.
        let orphans = Set(ended.recovered.orphans.map(\.hold.low))
        #expect(found.isDisjoint(with: orphans))
        #expect(Set(ended.recovered.openedHolds.map(\.low)) == found.union(orphans))
    }

    /// The process that dies: two threads write until one of them has had enough.
    @Test(.enabled(if: childRoot != nil)) func killedWhileItWrites() async throws {
        let root = try #require(childRoot)
        let disk = JournalDisk(existing: root)
        let store = try disk.store(1, segmentBytes: 1 << 18)
        let promised = open("\(root)/promised", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        let written = Counter()
        await withTaskGroup { group in
            for loop in 1...2 {
                group.addTask {
                    for number in 1...100_000 {
                        let id = UInt64(loop * 1_000_000 + number)
                        guard store.exchange(Int(id)) != nil else { continue }
                        withUnsafeBytes(of: id) { _ = write(promised, $0.baseAddress, 8) }
                        let total = written.value.wrappingAdd(1, ordering: .relaxed).newValue
                        if total == 1_500 { kill(getpid(), SIGKILL) }
                    }
                }
            }
        }
    }

    private static func numbers(in path: String) throws -> Set<UInt64> {
        let file = open(path, O_RDONLY)
        defer { close(file) }
        var numbers: Set<UInt64> = []
        var number: UInt64 = 0
        while read(file, &number, 8) == 8 { numbers.insert(number) }
        return numbers
    }
}

private final class Counter: Sendable {
    let value = Atomic(0)
}
