import Foundation
import Glibc
import Metering
import NIOCore
import Synchronization
import Testing

@testable import Proxy

/// A file that takes what a test lets it take, and says in which pieces it came.
private final class ScriptedFile: Sendable {
    /// How many bytes a write takes; `failure`: none, and no space is left. Behind the last one: everything.
    static let failure = -1

    private struct State {
        var takes: [Int]
        var pieces: [String] = []
    }

    private let state: Mutex<State>

    init(takes: [Int]) { self.state = Mutex(State(takes: takes)) }

    /// What the file holds.
    var text: String { self.pieces.joined() }
    var pieces: [String] { self.state.withLock { $0.pieces } }

    func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        self.state.withLock { state in
            let takes = state.takes.isEmpty ? .max : state.takes.removeFirst()
            guard takes != Self.failure else {
                errno = ENOSPC
                return -1
            }
            let count = min(takes, bytes.count)
            state.pieces.append(String(decoding: bytes[..<count], as: UTF8.self))
            return count
        }
    }

    /// Always ready to be written to.
    func open() throws -> LogFile {
        let descriptor = Glibc.open("/dev/null", O_WRONLY | O_CLOEXEC)
        return LogFile(descriptor: descriptor) { _, bytes in self.write(bytes) }
    }
}

/// Several processes append to one file, and the disk can be full.
@Suite struct AccessLogFileTests {
    private static func write(_ text: String, to file: inout LogFile) -> Int {
        Array(text.utf8).withUnsafeBytes { file.write($0) { true } }
    }

    /// Lines of about 300 bytes.
    private static func lines(_ count: Int) -> String {
        (0..<count).map { "{\"\($0)\":\"" + String(repeating: "x", count: 290 + $0 % 20) + "\"}\n" }.joined()
    }

    /// The kernel keeps together what is written at once, and nothing more.
    @Test func onlyWholeLinesAreWrittenAtOnce() throws {
        let script = ScriptedFile(takes: [])
        var file = try script.open()
        defer { close(file.descriptor) }
        let text = Self.lines(200)
        #expect(Self.write(text, to: &file) == text.utf8.count && script.text == text)
        #expect(script.pieces.count > 10 && !file.isTorn)
        for piece in script.pieces {
            #expect(piece.hasSuffix("}\n") && piece.utf8.count <= LogFile.bytesAtOnceMax)
            #expect(piece.utf8.count > 3700 || piece == script.pieces.last, "as many as fit")
        }
    }

    /// Half a line is all that is lost: the next line is a line of its own.
    @Test func aTornLineIsEndedBeforeTheNext() throws {
        let script = ScriptedFile(takes: [5, ScriptedFile.failure, ScriptedFile.failure])
        var file = try script.open()
        defer { close(file.descriptor) }
        #expect(Self.write("first\nsecond\n", to: &file) == 5 && file.isTorn)
        #expect(Self.write("third\n", to: &file) == 0 && file.isTorn, "still no space")
        #expect(Self.write("fourth\n", to: &file) == 7 && !file.isTorn)
        #expect(script.text == "first\nfourth\n")
    }

    @Test func aFailureBetweenLinesTearsNothing() throws {
        let script = ScriptedFile(takes: [6, ScriptedFile.failure])
        var file = try script.open()
        defer { close(file.descriptor) }
        #expect(Self.write("first\nsecond\n", to: &file) == 6 && !file.isTorn)
        #expect(Self.write("third\n", to: &file) == 6)
        #expect(script.text == "first\nthird\n")
    }

    @Test func aWriteThatTakesLessGoesOn() throws {
        let script = ScriptedFile(takes: [1, 2, 3, 4])
        var file = try script.open()
        defer { close(file.descriptor) }
        #expect(Self.write("first\nsecond\n", to: &file) == 13 && script.text == "first\nsecond\n")
    }
}

@Suite struct AccessLogTests {
    private static func counts(_ log: AccessLog) -> (lines: Int, dropped: Int) {
        func value(_ name: String) -> Int {
            log.samples().first { $0.name == name }.flatMap { Int($0.value.description) } ?? -1
        }
        return (value("access_log_lines_total"), value("access_log_dropped_total"))
    }

    /// Two instances, one file, much to say: every line is whole.
    @Test func instancesShareAFile() async throws {
        let name = "/tmp/tollgate-test-log-\(UUID())"
        let logs = try (0..<2).map { _ in try AccessLog(.file(name)) }
        defer { unlink(name) }
        var sent = Set<String>()
        for round in 0..<40 {
            for (writer, log) in logs.enumerated() {
                let lines = (0..<50).map { line in
                    "\(writer) \(round) \(line) "
                        + String(repeating: "x", count: (round * 37 + line * 11) % 700)
                }
                sent.formUnion(lines)
                log.hand(over: ByteBuffer(string: lines.map { $0 + "\n" }.joined()), lines: lines.count)
            }
        }
        for log in logs { await log.shutdown() }
        let text = try String(contentsOfFile: name, encoding: .utf8)
        #expect(Set(text.split(separator: "\n").map(String.init)) == sent)
        #expect(logs.allSatisfy { Self.counts($0) == (2000, 0) })
    }

    @Test func whatADiskDoesNotTakeIsCounted() async throws {
        let log = try AccessLog(.file("/dev/full"))
        log.hand(over: ByteBuffer(string: "one\ntwo\n"), lines: 2)
        await log.shutdown()
        #expect(Self.counts(log) == (0, 2))
    }

    /// What went out before the disk was full is not among the dropped.
    @Test func linesThatWereWrittenAreNotDropped() async throws {
        let script = ScriptedFile(takes: [10, ScriptedFile.failure])
        let log = AccessLog(.file(""), file: try script.open())
        log.hand(over: ByteBuffer(string: "one\ntwo\nthree\nfour\n"), lines: 4)
        log.hand(over: ByteBuffer(string: "five\n"), lines: 1)
        await log.shutdown()
        #expect(Self.counts(log) == (3, 2))
        #expect(script.text == "one\ntwo\nth\nfive\n")
    }

    /// A log that is opened anew by its old name is the same torn file; a new one begins with a line.
    @Test(arguments: [true, false]) func aTornFileIsKnownAgain(isMoved: Bool) async throws {
        let name = "/tmp/tollgate-test-log-\(UUID())"
        defer { for file in [name, name + ".1"] { unlink(file) } }
        let torn = Glibc.open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
        let half = "half"
        _ = half.withCString { Glibc.write(torn, $0, 4) }
        let log = AccessLog(.file(name), file: LogFile(descriptor: torn, isTorn: true))
        if isMoved { rename(name, name + ".1") }
        try log.reopen()
        log.hand(over: ByteBuffer(string: "whole\n"), lines: 1)
        await log.shutdown()
        #expect(try String(contentsOfFile: name, encoding: .utf8) == (isMoved ? "whole\n" : "half\nwhole\n"))
    }
}
