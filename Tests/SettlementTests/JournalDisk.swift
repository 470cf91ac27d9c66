import Glibc
import Logging
import Metering
import MoneyPath
import Synchronization
import Testing

@testable import Settlement

/// A directory that goes away, and a disk that can be full or broken.
final class JournalDisk: Sendable {
    let root: String
    let isFull = Atomic(false)
    /// So many syncs succeed before one fails; negative: none fails.
    let syncsUntilFailure = Atomic(-1)
    let syncs = Atomic(0)

    init() {
        var template = Array("/tmp/tollgate-journal-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { preconditionFailure("/tmp can be written to") }
        self.root = String(cString: made)
    }

    /// Of another process, which keeps it.
    init(existing root: String) { self.root = root }

    deinit { _ = Self.run("/bin/rm", ["-rf", self.root]) }

    var calls: JournalCalls {
        JournalCalls(
            allocate: { [self] descriptor, bytes in
                self.isFull.load(ordering: .sequentiallyConsistent)
                    ? ENOSPC : JournalCalls.allocateBlocks(descriptor, bytes)
            },
            synchronize: { [self] descriptor in
                self.syncs.wrappingAdd(1, ordering: .sequentiallyConsistent)
                if self.syncsUntilFailure.load(ordering: .sequentiallyConsistent) >= 0 {
                    let left = self.syncsUntilFailure.wrappingSubtract(1, ordering: .sequentiallyConsistent)
                    if left.oldValue == 0 { return EIO }
                }
                return JournalCalls.synchronizeData(descriptor)
            })
    }

    func store(
        _ boot: Int, _ mode: JournalStore.SyncMode = .group,
        segmentBytes: Int = JournalFormat.segmentBytesMin,
        now: @escaping @Sendable () -> Int64 = { 1_000_000 },
        steady: @escaping @Sendable () -> Int64 = { 1_000_000 },
        isClockTrusted: @escaping @Sendable () -> Bool = { true }
    ) throws -> JournalStore {
        var settings = JournalStore.Settings()
        settings.syncMode = mode
        settings.segmentBytes = segmentBytes
        settings.groupMilliseconds = 1
        settings.spareRetryMilliseconds = 1
        settings.limits = .init(unreservedOutcomes: 1, acknowledgements: 8)
        return try JournalStore(
            root: self.root, boot: Self.boot(boot), settings: settings, calls: self.calls,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, nowMilliseconds: now,
            steadyMilliseconds: steady,
            isClockTrusted: isClockTrusted)
    }

    static func boot(_ number: Int) -> BootID { BootID(high: 0x0193_0000_0000_7b00, low: UInt64(number)) }

    func path(_ boot: Int) -> String { "\(self.root)/\(Self.boot(boot))" }

    /// The thread of an ended store lets go of the lock when it ends.
    func waitUntilFree(_ boot: Int) async throws {
        while try JournalDirectory.adopt(root: self.root, boot: Self.boot(boot)) == nil { await Task.yield() }
    }

    /// Cleans until only these boots are there. A child that another test spawns has our locks until it becomes its program,
    /// and what is locked is left for the next time.
    func clean(_ scan: JournalRecoveryScan, _ nowMilliseconds: Int64, until boots: [Int]) async throws {
        let end = ContinuousClock.now + .seconds(20)
        var left: [BootID] = []
        repeat {
            #expect(scan.clean(nowMilliseconds: nowMilliseconds).isEmpty)
            left = try JournalDirectory.boots(root: self.root)
            if left == boots.map(Self.boot) { return }
            try await Task.sleep(for: .milliseconds(2))
        } while ContinuousClock.now < end
        Issue.record("\(left) are there still")
    }

    /// What the files say now, whether or not the process that wrote them lives.
    func read(_ boot: Int, _ mode: JournalRecoveryMode = .strict) throws -> RecoveredBoot<MappedSegment> {
        let path = "\(self.root)/\(Self.boot(boot))"
        let segments = try Self.names(path).compactMap(MappedSegment.id(fileName:)).sorted()
            .map { try MappedSegment.open(id: $0, in: path) }
        return try RecoveredBoot(segments, of: Self.boot(boot), mode: mode)
    }

    /// Ends a store, as far as the lock: its thread lets go of that when it ends.
    static func end(_ store: consuming JournalStore) async throws {
        let path = store.directory.path
        await store.stop()
        _ = consume store
        while try JournalDirectory.isLocked(path) { await Task.yield() }
    }

    /// Flips one bit of boot 1's first or another segment.
    func flip(_ segment: UInt64, at offset: Int) {
        let file = open("\(self.root)/\(Self.boot(1))/\(MappedSegment.fileName(segment))", O_RDWR)
        defer { close(file) }
        var byte: UInt8 = 0
        #expect(pread(file, &byte, 1, off_t(offset)) == 1)
        byte ^= 1
        #expect(pwrite(file, &byte, 1, off_t(offset)) == 1)
    }

    static func names(_ path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }

    /// Runs another process and returns its status as `waitpid` tells it; -1 when it could not be started.
    static func run(_ program: String, _ arguments: [String], environment: [String] = []) -> Int32 {
        var child: pid_t = 0
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = (["PATH=/usr/bin:/bin"] + environment).map {
            strdup($0)
        }
        variables.append(nil)
        defer { for word in words + variables { free(word) } }
        guard posix_spawn(&child, program, nil, nil, &words, &variables) == 0 else { return -1 }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 && errno == EINTR {}
        return status
    }

    /// Behind the head of the first segment and the note with which a journal begins.
    static let firstRecord = 96

    static func settlement(_ number: Int, _ kind: Settlement.Kind = .final) -> Settlement {
        Settlement(
            account: 7, hold: HoldID(high: 0x0193_0000_0000_7001, low: UInt64(number)), owner: Self.boot(1),
            kind: kind, authority: kind == .orphan ? .recovery : .owner, endpoint: .chat,
            modelRequested: "gpt-4o-mini", priceID: "p1", usage: Usage(input: 11, output: 0),
            charge: Charge(amount: Millicredits(Int64(number)), cost: PicoUSD(5)),
            estimatedBecause: kind == .orphan ? .proxyDied : nil, occurredAtMilliseconds: 1_763_900_000_000)
    }
}

extension JournalStore {
    /// One exchange from beginning to end.
    func exchange(_ number: Int) -> UInt64? {
        guard self.reserve(), self.open(JournalDisk.settlement(number, .orphan)) else { return nil }
        return self.end(JournalDisk.settlement(number), reserved: true)
    }

    func durable(_ sequence: UInt64) async {
        await withCheckedContinuation { done in self.whenDurable(sequence) { done.resume() } }
    }

    func stop() async { await withCheckedContinuation { done in self.stop { done.resume() } } }
}

extension RecoveredBoot {
    var waiting: [Settlement] {
        var reading = self.unacknowledged()
        return reading.next(limit: .max).map(\.settlement)
    }
}
