import Metering
import MoneyPath
import NIOCore
import Testing

@testable import RedisHolds

@Suite struct RedisAddressTests {
    @Test func anAddressIsRead() throws {
        let plain = try RedisAddress(url: "redis://localhost")
        #expect(plain.host == "localhost" && plain.port == 6379 && !plain.usesTLS && plain.database == 0)
        #expect(plain.user == nil && plain.password == nil)
        let full = try RedisAddress(url: "rediss://app:p%40ss%3A%2f@redis.example:7001/3")
        #expect(full.host == "redis.example" && full.port == 7001 && full.usesTLS && full.database == 3)
        #expect(full.user == "app" && full.password?.text == "p@ss:/")
        let six = try RedisAddress(url: "redis://:x@[::1]:7001/")
        #expect(six.host == "::1" && six.port == 7001 && six.user == nil && six.password?.text == "x")
    }

    @Test(
        arguments: [
            ("redis://a,b", .clusterNotSupported), ("http://a", .unknownScheme),
            ("redis://secret@a", .malformedCredentials),
            ("redis://:%zz@a", .malformedCredentials), ("redis://", .malformedHost),
            ("redis://a:b:c", .malformedHost),
            ("redis://a:0", .malformedPort), ("redis://a:70000", .malformedPort),
            ("redis://a/x", .malformedDatabase),
        ] as [(String, RedisAddressProblem)])
    func aBadAddressIsNamedButNotQuoted(_ url: String, _ problem: RedisAddressProblem) {
        #expect(throws: problem) { try RedisAddress(url: url) }
        #expect(!problem.description.contains("secret"))
    }

    @Test func aPasswordIsNeverPrinted() throws {
        let address = try RedisAddress(url: "redis://app:hunter2@h")
        #expect(!"\(address)".contains("hunter2") && !String(reflecting: address).contains("hunter2"))
    }
}

@Suite struct WireTests {
    private func text(_ body: (inout CommandCursor) -> Void) -> String {
        var buffer = ByteBuffer()
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 4096) { memory in
            var cursor = CommandCursor(memory)
            body(&cursor)
            return cursor.written
        }
        return String(buffer: buffer)
    }

    @Test(arguments: [0, 9, 10, -1, -10, 99_999, Int64.max, Int64.min] as [Int64])
    func integersAreWrittenWithTheirLength(_ number: Int64) {
        #expect(self.text { $0.argument(number) } == "$\("\(number)".utf8.count)\r\n\(number)\r\n")
    }

    @Test func argumentsAreWrittenByBytes() {
        #expect(self.text { $0.argument("é模") } == "$5\r\né模\r\n")
        #expect(self.text { $0.emptyArgument() } == "$0\r\n\r\n")
        #expect(self.text { $0.argument(nil as Millicredits?) } == "$0\r\n\r\n")
        #expect(
            self.text { $0.evaluate(Array("X".utf8), account: -42, arguments: 3) }
                == "*7\r\nX$7\r\na:{-42}\r\n")
    }

    /// TCP cuts anywhere.
    @Test func repliesAreTheSameForEverySplit() throws {
        let bytes = Array("*3\r\n:0\r\n:-5\r\n$3\r\na\r\n\r\n-OOM no memory\r\n:7\r\n$-1\r\n+OK\r\n".utf8)
        for cut in 0...bytes.count {
            let reader = RedisReplyReader()
            var answers: [Answer] = []
            for part in [bytes[..<cut], bytes[cut...]] {
                try Array(part).withUnsafeBytes { try reader.feed($0) }
                while let reply = try reader.next() { answers.append(Answer(reply)) }
            }
            #expect(answers.count == 5, "cut at \(cut)")
            #expect(answers.dropFirst() == [.error("OOM"), .integer(7), .null, .text("OK")])
        }
    }

    @Test func whatIsNoReplyBreaksTheProtocol() throws {
        let reader = RedisReplyReader()
        try Array("HTTP/1.1 400\r\n".utf8).withUnsafeBytes { try reader.feed($0) }
        #expect(throws: RedisReplyReader.ProtocolBroken.self) { _ = try reader.next() == nil }
    }

    @Test(
        arguments: [
            ("NOSCRIPT No matching script", .noScript), ("LOADING Redis is loading", .notExecuted(.loading)),
            ("OOM command not allowed", .notExecuted(.outOfMemory)),
            ("READONLY You can't write", .notExecuted(.readOnly)),
            ("BUSY", .notExecuted(.busy)), ("BUSYKEY Target key", .unknown), ("ERR anything", .unknown),
            ("", .unknown),
        ] as [(String, StoreRefusal)])
    func errorsAreKnownByTheirCode(_ message: String, _ refusal: StoreRefusal) {
        Array(message.utf8).withUnsafeBytes { #expect(StoreRefusal(errorMessage: $0) == refusal) }
    }

    @Test func anEpochChangesWithEachOfItsParts() {
        let base = NodeIdentity(runID: "r", replicationID: "m", epochKey: "k")
        var epochs: Set<String> = [base.epoch(ledgerGeneration: 1), base.epoch(ledgerGeneration: 2)]
        epochs.insert(NodeIdentity(runID: "r2", replicationID: "m", epochKey: "k").epoch(ledgerGeneration: 1))
        epochs.insert(NodeIdentity(runID: "r", replicationID: "m2", epochKey: "k").epoch(ledgerGeneration: 1))
        epochs.insert(NodeIdentity(runID: "r", replicationID: "m", epochKey: "k2").epoch(ledgerGeneration: 1))
        #expect(epochs.count == 5 && epochs.allSatisfy { $0.utf8.count == 16 })
        #expect(base.epoch(ledgerGeneration: 1) == base.epoch(ledgerGeneration: 1))
    }
}
