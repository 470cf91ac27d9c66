import Glibc
import Metering
import MoneyPath
import Testing

@testable import Settlement

@Suite(.timeLimit(.minutes(1))) struct JournalDirectoryTests {
    private static let one = JournalDisk.boot(1)

    @Test func theLockSaysWhoseItIs() async throws {
        let disk = JournalDisk()
        let directory = try JournalDirectory.create(root: disk.root, boot: Self.one)
        var text = [UInt8](repeating: 0, count: 300)
        let file = open("\(directory.path)/lock", O_RDONLY)
        let count = read(file, &text, text.count)
        close(file)
        #expect(String(decoding: text[..<max(0, count)], as: UTF8.self).hasSuffix(" \(getpid())\n"))
    }

    @Test(arguments: ["nfs4", "cifs", "9p", "fuse.sshfs"])
    func networkFileSystemsAreRefusedByName(_ kind: String) throws {
        let disk = JournalDisk()
        let failure = #expect(throws: JournalFileFailure.self) {
            try JournalDirectory.create(
                root: disk.root, boot: Self.one, calls: JournalCalls(fileSystem: { _ in kind }))
        }
        #expect(failure?.step == .networkFileSystem)
        #expect(failure?.description.contains("JOURNAL_DIR") == true)
        #expect(JournalDisk.names(disk.root).count == 2, "only . and ..")
    }

    @Test func theKindOfAFileSystemIsThatOfItsDevice() {
        let mounts = """
            25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
            90 25 0:57 / /mnt rw,relatime shared:7 master:2 - nfs4 host:/export rw,vers=4.2
            """
        #expect(JournalFileSystem.kind(of: "0:57", in: mounts) == "nfs4")
        #expect(JournalFileSystem.kind(of: "8:1", in: mounts) == "ext4")
        #expect(JournalFileSystem.kind(of: "8:2", in: mounts) == nil)
        #expect(JournalFileSystem.kind(at: "/proc") == "proc")
    }

    // MARK: What crashes leave

    @Test func directoriesThatWereNeverFinishedGoUnlessTheyAreBeingMade() async throws {
        let disk = JournalDisk()
        let names = [1, 2, 3].map { "\(disk.path($0)).new" }
        for name in names { #expect(mkdir(name, 0o700) == 0) }
        let left = try JournalDescriptor.open("\(names[0])/lock", O_RDWR | O_CREAT)
        let held = try JournalDescriptor.open("\(names[1])/lock", O_RDWR | O_CREAT)
        #expect(flock(held.number, LOCK_EX) == 0)
        #expect(JournalRecoveryScan(root: disk.root).clean(nowMilliseconds: nil).isEmpty)
        #expect(names.map { access($0, F_OK) } == [-1, 0, -1])
        withExtendedLifetime((left, held)) {}
    }

    /// Whoever makes one beside a cleaner gets it in the end.
    @Test func aDirectoryIsMadeWhileAnotherProcessCleans() async throws {
        let disk = JournalDisk()
        let scan = JournalRecoveryScan(root: disk.root)
        await withTaskGroup { group in
            group.addTask { for _ in 0..<400 { #expect(scan.clean(nowMilliseconds: nil).isEmpty) } }
            group.addTask {
                for number in 1...100 {
                    #expect(throws: Never.self) {
                        try JournalDirectory.create(root: disk.root, boot: JournalDisk.boot(number))
                    }
                }
            }
        }
        #expect(try JournalDirectory.boots(root: disk.root).count == 100)
    }

    @Test func segmentsWithoutALockAreReported() async throws {
        let disk = JournalDisk()
        try await disk.endedBoot(1)
        #expect(unlink("\(disk.path(1))/lock") == 0)
        let findings = try JournalRecoveryScan(root: disk.root).scan(except: [])
        let why = JournalFileFailure(.lock, disk.path(1), code: ENOENT)
        #expect(findings.refused == [Self.one: .file(why)] && findings.ended.isEmpty)
    }

    @Test func whatADeletionLeftGoes() throws {
        let disk = JournalDisk()
        #expect(mkdir(disk.path(1), 0o700) == 0)
        let findings = try JournalRecoveryScan(root: disk.root).scan(except: [])
        #expect(findings.refused.isEmpty && findings.ended.isEmpty)
        #expect(try JournalDirectory.boots(root: disk.root).isEmpty)
    }

    // MARK: What ends leave

    @Test func aStopLeavesNoSpares() async throws {
        let disk = JournalDisk()
        let store = try disk.store(1)
        _ = store.exchange(1)
        await store.stop()
        let segments = JournalDisk.names(disk.path(1)).compactMap(MappedSegment.id(fileName:))
        #expect(segments == [1])
        #expect(try disk.read(1).waiting == [JournalDisk.settlement(1)])
    }

    @Test func aJournalThatWasNeverUsedLeavesNothing() async throws {
        let disk = JournalDisk()
        await (try disk.store(1)).stop()
        #expect(try JournalDirectory.boots(root: disk.root).isEmpty)
    }

    @Test func aStartThatFailsLeavesNothing() throws {
        let disk = JournalDisk()
        disk.isFull.store(true, ordering: .sequentiallyConsistent)
        #expect(throws: JournalFileFailure.self) { try disk.store(1) }
        #expect(try JournalDirectory.boots(root: disk.root).isEmpty)
    }

    /// Three days of segments must not be as many open files.
    @Test func segmentsThatAreReadAreNotOpen() async throws {
        let disk = JournalDisk()
        try await disk.endedBoot(1)
        let directory = try #require(try JournalDirectory.adopt(root: disk.root, boot: Self.one))
        let segments = try directory.openSegments()
        #expect(!segments.isEmpty && segments.allSatisfy { $0.descriptor == nil })
    }
}
