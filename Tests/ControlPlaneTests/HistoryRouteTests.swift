import Billing
import Foundation
import HTTPTypes
import Metering
import Testing

@testable import ControlPlane

/// `/api/billing/ledger` and `/api/billing/statements/*`.
@Suite struct HistoryRouteTests {
    private static func entry(
        _ version: Int64, type: String = "deduction", purchase: PurchaseID? = nil, receipt: String? = nil
    ) -> LedgerEntry {
        LedgerEntry(
            line: LedgerLine(
                version: version, type: type, amount: Millicredits(-version), balanceAfter: Millicredits(5),
                referenceType: "settlement", referenceID: "x",
                createdAt: 1_700_000_000_000 + version * 1000),
            purchase: purchase, receiptURL: receipt)
    }

    private static func versions(_ reply: Reply) throws -> [Int] {
        let entries = try #require(try reply.object()["entries"] as? [[String: Any]])
        return entries.compactMap { $0["version"] as? Int }
    }

    /// What arrives between two pages is on neither, and shifts nothing.
    @Test func pagesNeitherSkipNorRepeatWhileLinesArrive() async throws {
        let history = FakeHistory()
        let rig = ControlRig(history: history)
        history.state.withLock { $0.entries[1] = (1...7).map { Self.entry($0) } }
        var (seen, cursor) = ([Int](), "")
        for round in 0..<4 {
            let page = try await rig.get("/api/billing/ledger?limit=3" + cursor, FakeLedger.adaKey)
            #expect(page.status == 200)
            seen += try Self.versions(page)
            guard let next = try page.string("nextCursor") else { break }
            cursor = "&cursor=" + next
            history.state.withLock { $0.entries[1]?.append(Self.entry(Int64(8 + round))) }
        }
        #expect(seen == [7, 6, 5, 4, 3, 2, 1])
        #expect(try Self.versions(await rig.get("/api/billing/ledger", FakeLedger.bobKey)).isEmpty)
    }

    @Test func filtersNarrowIt() async throws {
        let history = FakeHistory()
        let rig = ControlRig(history: history)
        history.state.withLock {
            $0.entries[1] = [Self.entry(1), Self.entry(2, type: "purchase"), Self.entry(3)]
        }
        func versions(_ query: String) async throws -> [Int] {
            try Self.versions(await rig.get("/api/billing/ledger?" + query, FakeLedger.adaKey))
        }
        #expect(try await versions("type=purchase") == [2])
        #expect(try await versions("from=2023-11-14T22:13:22Z") == [3, 2])
        #expect(try await versions("to=2023-11-14T22:13:22Z") == [1])
        #expect(try await versions("from=2023-11-15") == [])
    }

    @Test func purchasesCarryTheirReceipt() async throws {
        let history = FakeHistory()
        let purchase = FakeDesk.purchase
        history.state.withLock {
            $0.entries[1] = [
                Self.entry(1, type: "purchase", purchase: purchase, receipt: "https://pay.stripe.com/r/1"),
                Self.entry(2, type: "purchase", purchase: purchase), Self.entry(3),
            ]
        }
        let text = try await ControlRig(history: history).get("/api/billing/ledger", FakeLedger.adaKey).text
        #expect(
            text.contains(#""purchaseId":"\#(purchase)","receiptUrl":"https://pay.stripe.com/r/1"}"#)
                || text.contains(
                    #""purchaseId":"\#(purchase)","receiptUrl":"https:\/\/pay.stripe.com\/r\/1"}"#)
        )
        #expect(text.contains(#""purchaseId":"\#(purchase)","receiptUrl":null}"#))
        #expect(text.ranges(of: "purchaseId").count == 2)
    }

    @Test(arguments: [
        ("limit=0", "limit"), ("limit=501", "limit"), ("type=gift", "type"), ("cursor=7", "cursor"),
        ("cursor=l1-0", "cursor"), ("cursor=l1--7", "cursor"), ("from=yesterday", "from"), ("to=x", "to"),
    ])
    func whatMakesNoSenseIsRefusedByName(query: String, field: String) async throws {
        let reply = try await ControlRig().get("/api/billing/ledger?" + query, FakeLedger.adaKey)
        #expect(reply.status == 400)
        #expect(try reply.string("param") == field)
    }

    // MARK: Statements

    private static func rig(
        failure: (any Error)? = nil, printer: FakePrinter = FakePrinter()
    ) throws -> ControlRig {
        let history = FakeHistory()
        let month = try #require(UTCMonth(year: 2026, month: 3))
        let statement = try Statement(
            account: 1, userID: "ada", month: month, opening: Millicredits(7), purchases: [], usage: [],
            movements: [:], closing: Millicredits(7), isFinal: false)
        history.state.withLock {
            $0.statements[month] = statement
            $0.failure = failure
        }
        return ControlRig(history: history, printer: printer)
    }

    @Test(arguments: [
        ("csv", "text/csv; charset=utf-8; header=present", "section,day,text"),
        ("pdf", "application/pdf", "%PDF-1.7 2026-03-000001"),
        ("json", "application/json", #"{"number":"2026-03-000001""#),
    ])
    func aStatementIsAFile(format: String, type: String, start: String) async throws {
        let rig = try Self.rig()
        let path = "/api/billing/statements/2026-03.\(format)"
        let reply = try await rig.get(path, FakeLedger.adaKey)
        #expect(reply.status == 200)
        #expect(reply.headers[.contentType] == type)
        #expect(
            reply.headers[.contentDisposition]
                == "attachment; filename=\"statement-2026-03-000001.\(format)\"")
        #expect(reply.text.hasPrefix(start))
        #expect(reply.headers[.cacheControl] == "no-store")
        #expect(try await rig.get(path).status == 401)
        #expect(try await rig.get(path, FakeLedger.bobKey).status == 404, "another account's")
        #expect(try await rig.send(.post, path, FakeLedger.adaKey).status == 405)
    }

    @Test func aMonthThatGoesOnSaysSo() async throws {
        let rig = try Self.rig()
        let csv = try await rig.get("/api/billing/statements/2026-03.csv", FakeLedger.adaKey).text
        #expect(csv.contains("closing,,not final,"))
        let json = try await rig.get("/api/billing/statements/2026-03.json", FakeLedger.adaKey).text
        #expect(json.contains(#""isFinal":false"#))
    }

    @Test(arguments: [
        "2026-04.csv", "2026-13.csv", "2026-03", "2026-03.xls", "2026-3.csv", "2026-03.csv.csv",
    ])
    func whatIsNoStatementIsNotFound(name: String) async throws {
        let reply = try await Self.rig().get("/api/billing/statements/\(name)", FakeLedger.adaKey)
        #expect(reply.status == 404)
        #expect(try reply.string("code") == "statement_not_found")
    }

    @Test func failuresSayWhetherToTryAgain() async throws {
        let path = "/api/billing/statements/2026-03.pdf"
        let wrong = StatementFailure.doesNotAdd(rows: 1, closing: Millicredits(2))
        #expect(try await Self.rig(failure: wrong).get(path, FakeLedger.adaKey).status == 500)
        let away = try await Self.rig(failure: FakeLedger.Down()).get(path, FakeLedger.adaKey)
        #expect(away.status == 503 && !away.text.contains("hunter2"))
        let busy = try await Self.rig(printer: FakePrinter(failure: .busy)).get(path, FakeLedger.adaKey)
        #expect(busy.status == 503 && busy.headers[.retryAfter] != nil)
        let broken = FakePrinter(failure: .failed("/etc/logo.png"))
        let unprinted = try await Self.rig(printer: broken).get(path, FakeLedger.adaKey)
        #expect(unprinted.status == 500 && !unprinted.text.contains("logo"))
    }
}
