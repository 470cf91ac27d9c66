import Foundation
import MockOpenAI
import Testing

/// Every fault, as the wire shows it and as the log tells it.
@Suite struct FaultTests {
    @Test(
        arguments: [
            ("429", 429, "rate_limit_exceeded"), ("429quota", 429, "insufficient_quota"), ("500", 500, nil),
            ("503", 503, "overloaded"), ("401", 401, "invalid_api_key"),
            ("early_error", 413, "request_too_large"),
        ] as [(String, Int, String?)])
    func refusalsAnswerWithTheirStatus(_ fault: String, _ status: Int, _ code: String?) async throws {
        try await withMock { mock in
            let reply = try mock.chat("x [[mock fault=\(fault)]]")
            #expect(reply.status == status && reply.error["code"] as? String == code)
            #expect((reply.header("retry-after") != nil) == (status == 429 || status == 503))
            let row = try await mock.row()
            #expect(row.int("status") == status && row.string("fault") == fault && row["usage"] is NSNull)
        }
    }

    @Test(arguments: [("cut", RawClient.End.closed), ("cut_rst", .reset), ("cut_body", .closed)])
    func cutsHappenInMidStream(_ fault: String, _ end: RawClient.End) async throws {
        try await withMock { mock in
            let reply = try mock.chat("x [[mock tokens=9 after=3 fault=\(fault)]]", stream: true)
            #expect(reply.end == end && !reply.isWhole && reply.deltas.count == 3)
            let row = try await mock.row()
            #expect(row.int("true_usage", "completion_tokens") == 3 && row.int("deltas_sent") == 3)
            #expect(row["completed"] as? Bool == false && row["usage"] is NSNull)
            let body = try mock.chat("x [[mock fault=\(fault)]]")
            #expect(body.end == end && !body.isWhole && !body.body.isEmpty)
        }
    }

    @Test(arguments: [true, false]) func cutHeadSendsNothing(_ stream: Bool) async throws {
        try await withMock { mock in
            let reply = try mock.chat("x [[mock fault=cut_head]]", stream: stream)
            #expect(reply.end == .closed, "\(reply.head)")
            #expect(reply.head.isEmpty)
            let value1 = try await mock.row().int("status")
            #expect(value1 == 0)
        }
    }

    /// A stalled exchange is in the log once the peer gives up, with what was sent until then.
    @Test(arguments: [("stall", true, 200), ("stall", false, 200), ("stall_head", true, 0)])
    func stallsLastUntilThePeerGoesAway(_ fault: String, _ stream: Bool, _ status: Int) async throws {
        try await withMock { mock in
            let reply = try mock.chat(
                "x [[mock tokens=8 fault=\(fault)]]", stream: stream, milliseconds: 3_000)
            #expect(reply.end == .silence && reply.head.isEmpty == (status == 0))
            let row = try await mock.row()
            #expect(row.int("status") == status && row["completed"] as? Bool == false)
            if stream, status == 200 {
                #expect(reply.deltas.count == 4 && row.int("true_usage", "completion_tokens") == 4)
            }
            #expect(mock.stats.open == 0)
        }
    }

    @Test func malformedRepliesCannotBeParsed() async throws {
        try await withMock { mock in
            #expect(try mock.chat("x [[mock fault=malformed]]").json.isEmpty)
            let stream = try mock.chat("x [[mock tokens=4 fault=malformed]]", stream: true)
            #expect(stream.frames.count == stream.chunks.count + 2 && stream.deltas.count == 4)
            let usage = try mock.chat("x [[mock tokens=4 fault=malformed_usage]]", stream: true)
            #expect(usage.frames.count == usage.chunks.count + 2)
            let row = try await mock.row(3)
            #expect(row["usage"] is NSNull)
        }
    }

    @Test(arguments: [
        ("over_cap", "60"), ("huge_usage", "9000000000000000000"), ("negative_usage", "-1"),
        ("zero_usage", "0"),
        ("string_usage", "\"4\""),
    ])
    func usageCanLie(_ fault: String, _ completion: String) async throws {
        try await withMock { mock in
            let cap = ",\"max_tokens\":10"
            let whole = try mock.chat("x [[mock tokens=4 fault=\(fault)]]", extra: cap)
            #expect(whole.text.contains("\"completion_tokens\": \(completion),"))
            let stream = try mock.chat("x [[mock tokens=4 fault=\(fault)]]", stream: true, extra: cap)
            #expect(stream.frames.dropLast().last?.contains("\"completion_tokens\":\(completion),") == true)
            let row = try await mock.row(2)
            #expect(row.int("true_usage", "completion_tokens") == 4)
            #expect(mock.logLines[1].contains("\"usage\":{") && mock.logLines[1].contains(":\(completion),"))
        }
    }

    @Test(arguments: ["no_usage", "null_usage", "cached_over"]) func usageCanBeMissing(_ fault: String)
        async throws
    {
        try await withMock { mock in
            let whole = try mock.chat("x [[mock fault=\(fault)]]")
            let stream = try mock.chat("x [[mock fault=\(fault)]]", stream: true)
            switch fault {
            case "no_usage": #expect(!whole.text.contains("usage") && !stream.text.contains("prompt_tokens"))
            case "null_usage":
                #expect(whole.text.contains("\"usage\": null"))
                #expect(stream.frames.dropLast().last?.contains("\"choices\":[],\"usage\":null") == true)
            default: #expect(whole.json.int("usage", "prompt_tokens_details", "cached_tokens") ?? 0 > 1_000)
            }
            let row = try await mock.row(2)
            #expect((row["usage"] is NSNull) == (fault != "cached_over"))
        }
    }

    /// Legal but rare framing carries the same deltas and usage as the plain one.
    @Test(arguments: [
        "crlf", "cr", "split", "split1", "slow_body", "close_delimited", "content_and_usage", "comments",
        "bom", "100",
        "big", "no_done", "crlf,split,comments,bom",
    ])
    func rareFramingLosesNothing(_ fault: String) async throws {
        try await withMock { mock in
            var reply = try mock.chat("x [[mock tokens=4 gap_ms=0 fault=\(fault)]]", stream: true)
            if fault == "100" {
                #expect(reply.status == 100)
                let final = try #require(reply.body.firstRange(of: Array("HTTP/1.1 200".utf8)))
                reply = RawReply(Array(reply.body[final.lowerBound...]), reply.end)
            }
            #expect(reply.status == 200 && reply.isWhole && reply.deltas.count == 4)
            #expect(reply.chunks.filter { $0.int("usage", "completion_tokens") == 4 }.count == 1)
            #expect((reply.frames.last == "[DONE]") == (fault != "no_done"))
            switch fault {
            case "crlf": #expect(reply.text.contains("\r\n\r\n") && !reply.text.contains("}\n\n"))
            case "cr": #expect(!reply.text.contains("\n"))
            case "comments": #expect(reply.text.contains(": keep-alive"))
            case "bom": #expect(reply.body.starts(with: [0xEF, 0xBB, 0xBF]))
            case "big": #expect(reply.deltas.contains { $0.utf8.count > 1 << 20 })
            case "close_delimited": #expect(reply.header("transfer-encoding") == nil && reply.end == .closed)
            case "content_and_usage":
                #expect(reply.chunks.last.map { ($0["choices"] as? [Any])?.count == 1 } == true)
            default: break
            }
            let value2 = try await mock.row()["completed"] as? Bool
            #expect(value2 == true)
        }
    }

    @Test(arguments: [true, false]) func gzipIsValidGzip(_ stream: Bool) async throws {
        try await withMock { mock in
            let reply = try mock.chat("x [[mock tokens=4 fault=gzip]]", stream: stream)
            #expect(reply.header("content-encoding") == "gzip" && reply.isWhole)
            #expect(reply.body.starts(with: [0x1F, 0x8B, 8]))
            // An inflater that is not ours.
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["gzip", "-dc"]
            let (input, output) = (Pipe(), Pipe())
            process.standardInput = input
            process.standardOutput = output
            try process.run()
            try input.fileHandleForWriting.write(contentsOf: Data(reply.body))
            try input.fileHandleForWriting.close()
            let plain = try output.fileHandleForReading.readToEnd() ?? Data()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
            #expect(
                String(decoding: plain, as: UTF8.self).contains("\"completion_tokens\":\(stream ? "" : " ")4")
            )
        }
    }

    @Test func errorFramesEndTheStream() async throws {
        try await withMock { mock in
            let late = try mock.chat("x [[mock tokens=8 after=2 fault=error_frame]]", stream: true)
            #expect(
                late.deltas.count == 2 && late.isWhole && late.frames.last?.hasPrefix("{\"error\":{") == true)
            let first = try mock.chat("x [[mock fault=error_frame0]]", stream: true)
            #expect(first.status == 200 && first.frames.count == 1 && first.deltas.isEmpty)
            let value3 = try mock.chat("x [[mock fault=error_frame]]").status
            #expect(value3 == 500)
            #expect(mock.rows[0].int("true_usage", "completion_tokens") == 2)
        }
    }

    /// The answer comes although the body never does.
    @Test func earlyErrorsDoNotWaitForTheBody() async throws {
        try await withMock { mock in
            let reply = try mock.exchange(
                """
                POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer k\r\n\
                Content-Length: 1000000\r\n\r\n\
                {\"model\":\"gpt-4o\",\"messages\":[{\"content\":\"[[mock fault=early_error]]
                """)
            #expect(reply.status == 413 && reply.isWhole)
        }
    }

    @Test func randomFaultsFollowTheSeedAndTheRate() async throws {
        func statuses() async throws -> [Int] {
            var seen: [Int] = []
            try await withMock({
                $0.faultRate = 0.5
                $0.randomFaults = [.serverError, .overloaded]
                $0.seed = 7
            }) { mock in
                for _ in 0..<40 { seen.append(try mock.chat("x").status) }
            }
            return seen
        }
        let first = try await statuses()
        #expect(try await statuses() == first)
        #expect(Set(first) == [200, 500, 503] && (8...32).contains(first.filter { $0 == 200 }.count))
    }
}
