import Foundation
import Metering
import Testing

@testable import ControlPlane

/// What was consumed, line by line: no row skipped, none repeated, nobody else's.
@Suite struct UsageTests {
    private static func line(_ number: Int, model: String = "gpt-4o-mini", parts: [UsagePart] = [])
        -> UsageLine
    {
        let at = Int64(1_700_000_000_000 + number * 1000)
        return UsageLine(
            hold: HoldID(millisecondsSinceEpoch: UInt64(at), randomA: 1, randomB: 2), kind: "final",
            model: model,
            modelServed: nil, endpoint: "chat", inputTokens: 750, cachedInputTokens: 0, outputTokens: 200,
            reasoningTokens: 0, parts: parts, priceID: "scholarlink@2025-01-19/gpt-4o-mini",
            charged: Millicredits(Int64(number)), estimated: false, occurredAt: at)
    }

    @Test func pagesFollowEachOtherWithoutGapsAndRepetitions() async throws {
        let rig = ControlRig()
        rig.ledger.state.withLock { $0.usageLines[1] = (1...7).map { Self.line($0) } }
        var charged: [String] = []
        var cursor = ""
        for _ in 0..<4 {
            let page = try await rig.get("/api/billing/usage?limit=3" + cursor, FakeLedger.adaKey).object()
            let entries = try #require(page["entries"] as? [[String: Any]])
            charged += entries.compactMap { $0["chargedMillicredits"] as? String }
            guard let next = page["nextCursor"] as? String else { break }
            cursor = "&cursor=" + next
        }
        #expect(charged == ["7", "6", "5", "4", "3", "2", "1"])
        let other = try await rig.get("/api/billing/usage", FakeLedger.bobKey).object()
        #expect((other["entries"] as? [Any])?.isEmpty == true, "another account's history")
    }

    @Test func partsAppearWhenThereAreAny() async throws {
        let rig = ControlRig()
        rig.ledger.state.withLock {
            $0.usageLines[1] = [
                Self.line(1),
                Self.line(2, parts: [UsagePart("audio_input_tokens", 9), UsagePart("web_search_calls", 1)]),
            ]
        }
        for route in ["/api/billing/usage", "/api/billing/summary"] {
            let text = try await rig.get(route, FakeLedger.adaKey).text
            #expect(
                text.contains(#""parts":{"audio_input_tokens":9,"web_search_calls":1},"priceId""#), "\(route)"
            )
            #expect(text.ranges(of: "parts").count == 1, "\(route): none where there is none")
        }
    }

    @Test func modelAndTimesNarrowIt() async throws {
        let rig = ControlRig()
        rig.ledger.state.withLock {
            $0.usageLines[1] = [Self.line(1), Self.line(2, model: "gpt-4o"), Self.line(3)]
        }
        func charged(_ query: String) async throws -> [String] {
            let page = try await rig.get("/api/billing/usage?" + query, FakeLedger.adaKey).object()
            return try #require(page["entries"] as? [[String: Any]]).compactMap {
                $0["chargedMillicredits"] as? String
            }
        }
        #expect(try await charged("model=gpt-4o") == ["2"])
        #expect(try await charged("from=2023-11-14T22:13:22Z") == ["3", "2"])
        #expect(try await charged("to=2023-11-14T22:13:22Z") == ["1"])
        #expect(try await charged("from=2023-11-14&to=2023-11-15") == ["3", "2", "1"])
        #expect(try await charged("from=2023-11-15") == [])
    }

    @Test(arguments: [
        ("limit=0", "limit"), ("limit=501", "limit"), ("limit=x", "limit"), ("cursor=next", "cursor"),
        ("from=yesterday", "from"), ("to=2026-13-01", "to"),
    ])
    func whatMakesNoSenseIsRefusedByName(query: String, field: String) async throws {
        let reply = try await ControlRig().get("/api/billing/usage?" + query, FakeLedger.adaKey)
        #expect(reply.status == 400)
        #expect(try reply.string("param") == field)
    }
}
