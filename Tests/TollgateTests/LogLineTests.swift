import ControlPlane
import Foundation
import Logging
import Testing

@testable import Tollgate

/// A log collector reads lines: whatever is logged is one of them.
@Suite struct LogLineTests {
    private static let hostile = "a\"b\\c\nd\r\u{0}\u{1b}[31m\u{2028}\u{85}é😀"

    private func line(_ format: LineLogHandler.Format, _ body: (inout Logger) -> Void) throws -> String {
        let lines = LockedLines()
        var logger = Logger(label: "tollgate") {
            LineLogHandler(label: $0, format: format, level: .info) { lines.add($0) }
        }
        body(&logger)
        return try #require(lines.all.first)
    }

    @Test func jsonHasWhatACollectorLooksFor() throws {
        let line = try self.line(.json) { logger in
            logger[metadataKey: "hb.request.id"] = "r-1"
            logger[metadataKey: "trace_id"] = "0af7"
            logger.warning("\(Self.hostile)", metadata: [Self.hostile: "\(Self.hostile)", "rows": "3"])
        }
        #expect(line.hasSuffix("}\n"))
        #expect(line.unicodeScalars.filter { $0.properties.generalCategory == .control } == ["\n"])
        let members = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(members["level"] as? String == "warning" && members["logger"] as? String == "tollgate")
        #expect(members["request_id"] as? String == "r-1" && members["trace_id"] as? String == "0af7")
        #expect(members["message"] as? String == Self.hostile)
        #expect(members["metadata"] as? [String: String] == [Self.hostile: Self.hostile, "rows": "3"])
        let time = try #require(members["time"] as? String)
        #expect(time.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
    }

    @Test func textIsOneLineAsWell() throws {
        let line = try self.line(.text) { logger in
            logger[metadataKey: "hb.request.id"] = "r-1"
            logger[metadataKey: "trace_id"] = "0af7"
            logger.error("\(Self.hostile)", metadata: ["error": "\(Self.hostile)"])
        }
        #expect(line.unicodeScalars.filter { $0.properties.generalCategory == .control } == ["\n"])
        #expect(line.contains(" error tollgate: a\\\"b"))
        #expect(line.contains(" request_id=r-1 trace_id=0af7 error="))
    }

    /// Desks and stores know nothing of requests; their lines say whose work it was all the same.
    @Test func aLineOfARequestNamesIt() async throws {
        let lines = LockedLines()
        let logger = Logger(label: "desk") {
            LineLogHandler(label: $0, format: .json, level: .info, provider: LogSettings.ofRequest) {
                lines.add($0)
            }
        }
        await RequestScope.$id.withValue("r-1") { await Task { logger.info("of a request") }.value }
        logger.info("of nobody")
        logger.info("of an exchange", metadata: ["request_id": "h-1"])
        let read = try lines.all.map {
            try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        #expect(read.map { $0["request_id"] as? String } == ["r-1", nil, "h-1"])
        #expect(read.allSatisfy { $0["metadata"] == nil })
    }

    @Test func aLongValueIsCut() throws {
        let line = try self.line(.json) {
            $0.error("x", metadata: ["error": "\(String(repeating: "y", count: 1 << 20))"])
        }
        #expect(line.utf8.count < LogLine.valueBytesMax + 300 && line.hasSuffix("…\"}}\n"))
    }

    @Test func whatIsBelowTheLevelIsNotWritten() {
        let lines = LockedLines()
        let logger = Logger(label: "l") {
            LineLogHandler(label: $0, format: .json, level: .notice) { lines.add($0) }
        }
        logger.info("quiet")
        logger.notice("loud")
        #expect(lines.all.count == 1)
    }
}

private final class LockedLines: @unchecked Sendable {
    // SAFETY: all access is under the lock.
    private let lock = NSLock()
    private var lines: [String] = []

    func add(_ line: String) { self.lock.withLock { self.lines.append(line) } }
    var all: [String] { self.lock.withLock { self.lines } }
}
