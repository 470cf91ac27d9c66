import Billing
import Foundation
import HTTPTypes
import Metering
import Testing

@testable import ControlPlane

/// The console as its pages and forms go.
@Suite struct ConsoleTests {
    private static let known = [
        ":account": "1", ":name": "BILLING_CHARGING_ENABLED", ":key": "1", ":run": "1",
        ":purchase": FakeDesk.purchase.description, ":card": "c", ":version": "1",
    ]

    private static func target(_ path: String) -> String {
        Self.known.reduce(path) { $0.replacingOccurrences(of: $1.key, with: $1.value) }
    }

    // MARK: Who may open what

    @Test func everyPageIsOpenToItsRoleAndTheOnesAboveItOnly() async throws {
        for role in StaffRole.allCases {
            let rig = ConsoleRig(role)
            for route in ConsolePages.routes {
                let reply = try await rig.get(Self.target(route.path))
                // The fake has no rate cards.
                let isOpen = reply.status == 200 || route.path.contains(":version") && reply.status == 404
                #expect(isOpen == (role >= route.role), "\(role) \(route.path): \(reply.status)")
                #expect(reply.headers[.contentType] == "text/html; charset=utf-8")
                #expect(reply.headers[.contentSecurityPolicy]?.contains("default-src 'none'") == true)
                #expect(reply.headers[.cacheControl] == "no-store")
                guard case .action = route.kind, role < route.role else { continue }
                let posted = try await rig.post(Self.target(route.path), ["reason": "r", "step": "do"])
                #expect(posted.status == 403, "\(role) \(route.path)")
            }
            #expect(rig.notes.isEmpty)
        }
    }

    @Test func whoeverIsNotSignedInIsLedToTheEntranceAndBack() async throws {
        let rig = ConsoleRig(nil)
        for route in ConsolePages.routes {
            let reply = try await rig.get(Self.target(route.path) + "?state=open")
            #expect(reply.status == 303)
            let place = try #require(reply.headers[.location])
            #expect(place.hasPrefix("/admin/sign-in?next=%2Fadmin"))
        }
        let posted = try await rig.post("/admin/new-account", ["userId": "u", "reason": "r", "step": "do"])
        #expect(posted.status == 303 && rig.notes.isEmpty)
    }

    /// A link must not lead people elsewhere after they signed in.
    @Test(arguments: [
        ("/admin/flags", "/admin/flags"), ("/admin?done=flag", "/admin?done=flag"), ("/admin", "/admin"),
        ("//evil.example", "/admin"), ("/\\evil.example", "/admin"), ("https://evil.example", "/admin"),
        ("/administrator", "/admin"), ("/admin@evil.example", "/admin"),
        ("/admin/\r\nset-cookie:a=b", "/admin"),
        ("/billing", "/admin"),
    ]) func onlyPagesOfTheConsoleComeNext(_ asked: String, _ next: String) {
        #expect(ConsolePages.next(asked) == next)
    }

    @Test func theNavigationShowsWhatOneMayOpen() async throws {
        #expect(try await !ConsoleRig(.viewer).get("/admin").text.contains("/admin/finance"))
        #expect(try await ConsoleRig(.finance).get("/admin").text.contains("/admin/finance"))
    }

    /// A form of another site comes with the cookie, but not with this value.
    @Test func aFormWithoutTheValueOfItsSessionChangesNothing() async throws {
        let rig = ConsoleRig(.owner)
        for route in ConsolePages.routes {
            guard case .action = route.kind else { continue }
            for csrf in ["", "0", SessionToken().csrf] {
                let reply = try await rig.post(
                    Self.target(route.path), ["reason": "r", "userId": "u", "step": "do"], csrf: csrf)
                #expect(reply.status == 403, "\(route.path)")
            }
        }
        #expect(rig.notes.isEmpty)
    }

    // MARK: Flags

    private static let flag = "/admin/flags/BILLING_CHARGING_ENABLED"

    @Test func aFlagIsChangedOnlyAfterItWasConfirmed() async throws {
        let rig = ConsoleRig(.owner)
        let sheet = try await rig.get(Self.flag)
        let version = try #require(ConsoleRig.hidden("expectedVersion", sheet))
        var form = ["value": "false", "source": "flag", "reason": "incident 7", "expectedVersion": version]
        let question = try await rig.post(Self.flag, form)
        #expect(question.status == 200 && rig.notes.isEmpty)
        #expect(question.text.contains("Nobody is charged from then on"))
        #expect(
            question.text.contains("class=\"long\">true") && question.text.contains("class=\"long\">false"))
        #expect(ConsoleRig.hidden("expectedVersion", question) == version)
        form["step"] = "do"
        let done = try await rig.post(Self.flag, form)
        #expect(done.status == 303 && done.headers[.location] == "/admin/flags?done=flag")
        #expect(rig.notes.map(\.reason) == ["incident 7"] && rig.notes.map(\.actor) == ["staff:owner"])
    }

    /// Two people must not overwrite each other unseen.
    @Test func whatSomebodyChangedMeanwhileIsShown() async throws {
        let rig = ConsoleRig(.owner)
        let reply = try await rig.post(
            Self.flag,
            ["value": "false", "source": "flag", "reason": "r", "expectedVersion": "2", "step": "do"])
        #expect(reply.status == 409 && rig.notes.isEmpty)
        #expect(reply.text.contains("Somebody changed it meanwhile"))
        #expect(ConsoleRig.hidden("expectedVersion", reply) == "3")
    }

    @Test(arguments: [
        ["value": "perhaps", "source": "flag", "reason": "r"], ["value": "false", "source": "flag"],
        ["value": "false", "source": "nobody", "reason": "r"],
    ]) func whatIsWrongStandsAtItsField(_ form: [String: String]) async throws {
        let rig = ConsoleRig(.owner)
        let reply = try await rig.post(
            Self.flag, form.merging(["expectedVersion": "3", "step": "do"]) { $1 })
        #expect(reply.status == 400 && rig.notes.isEmpty)
        #expect(reply.text.contains("aria-invalid=\"true\"") && reply.text.contains("class=\"problem\""))
    }

    // MARK: Accounts

    @Test func anAdjustmentKeepsItsKeySoThatItCountsOnce() async throws {
        let rig = ConsoleRig(.finance)
        let path = "/admin/accounts/1/adjust"
        let key = try #require(ConsoleRig.hidden("idempotencyKey", try await rig.get(path)))
        #expect(key != ConsoleRig.hidden("idempotencyKey", try await rig.get(path)))
        var form = ["amount": "-12.5", "reason": "goodwill", "idempotencyKey": key]
        let question = try await rig.post(path, form)
        #expect(question.text.contains("3.72") && question.text.contains("−8.78"))
        #expect(question.text.contains("below zero"))
        #expect(ConsoleRig.hidden("idempotencyKey", question) == key)
        form["step"] = "do"
        #expect(try await rig.post(path, form).headers[.location] == "/admin/accounts/1?done=adjusted")
    }

    /// The reply of Postgres was lost, and the line may be there: a form with another key would add it twice.
    @Test func whatMayHaveBeenDoneIsAskedAgainUnderItsKey() async throws {
        let rig = ConsoleRig(.finance)
        rig.rig.admin.failure.withLock { $0 = CancellationError() }
        let form = ["amount": "5", "reason": "goodwill", "idempotencyKey": "k1", "step": "do"]
        let reply = try await rig.post("/admin/accounts/1/adjust", form)
        #expect(reply.status == 503 && ConsoleRig.hidden("idempotencyKey", reply) == "k1")
        #expect(reply.text.contains("does nothing twice") && reply.text.contains("value=\"do\""))
        rig.rig.admin.failure.withLock { $0 = nil }
        #expect(try await rig.post("/admin/accounts/1/adjust", form).status == 303)
    }

    /// Back, another amount, and Continue: the first was made, and a fresh key would make the second beside it.
    @Test func aKeyThatWasUsedIsNotReplacedByAFreshOne() async throws {
        let rig = ConsoleRig(.finance)
        rig.rig.admin.failure.withLock { $0 = AdministrationRefusal.idempotencyConflict }
        let reply = try await rig.post(
            "/admin/accounts/1/adjust",
            ["amount": "6", "reason": "goodwill", "idempotencyKey": "k1", "step": "do"])
        #expect(reply.status == 409 && ConsoleRig.hidden("idempotencyKey", reply) == "k1")
        #expect(reply.text.contains("Open the form anew"))
    }

    /// History takes minutes on a large ledger, and a wrong price is charged meanwhile.
    @Test func aCardIsAppliedWithoutItsHistoryWhenThatCannotBeHad() async throws {
        let rig = ConsoleRig(.finance)
        rig.rig.admin.failure.withLock { $0 = RateCardRefusal.busy }
        let form = ["yaml": "card: c", "reason": "r"]
        let question = try await rig.post("/admin/rate-card-editor", form)
        #expect(question.status == 200 && question.text.contains("another simulation runs"))
        let before = rig.rig.admin.simulations.withLock { $0 }
        #expect(
            try await rig.post("/admin/rate-card-editor", form.merging(["step": "do"]) { $1 }).status == 303)
        #expect(
            before == 1 && rig.rig.admin.simulations.withLock { $0 } == before,
            "confirmed, it is applied at once")
    }

    @Test(arguments: [
        "0", "", "1.2345", "one", "--1", "1e3", "99999999999999999999", "1,5", "12,50", "1,0000",
    ])
    func anAmountThatIsNoneIsRefused(_ amount: String) async throws {
        let rig = ConsoleRig(.finance)
        let reply = try await rig.post(
            "/admin/accounts/1/adjust",
            ["amount": amount, "reason": "r", "idempotencyKey": "k", "step": "do"])
        #expect(reply.status == 400 && rig.notes.isEmpty)
    }

    @Test func aSecretIsShownOnceAndItsPageIsNotKept() async throws {
        let rig = ConsoleRig(.support)
        let reply = try await rig.post("/admin/accounts/1/new-key", ["reason": "r", "step": "do"])
        #expect(reply.text.contains("tg_secret") && reply.headers[.cacheControl] == "no-store")
        #expect(try await !rig.get("/admin/accounts/1").text.contains("tg_secret"))
    }

    @Test func aChangeWithoutAReasonIsNotMade() async throws {
        let rig = ConsoleRig(.owner)
        let forms: [(String, [String: String])] = [
            ("/admin/new-account", ["userId": "u"]), ("/admin/accounts/1/status", ["status": "suspended"]),
            ("/admin/accounts/1/adjust", ["amount": "1", "idempotencyKey": "k"]),
            ("/admin/accounts/1/limits", ["streams": "1"]), ("/admin/accounts/1/holds", ["policy": "full"]),
            ("/admin/accounts/1/new-key", [:]), ("/admin/keys/1/revoke", [:]),
            ("/admin/reviews/decide", ["user": "ada", "reviewId": "1", "decision": "clear"]),
            ("/admin/events/replay", ["which": "dead"]),
            ("/admin/events/dismiss", ["eventId": "evt_1"]), ("/admin/rate-card-editor", ["yaml": "a: b"]),
            (
                "/admin/purchases/\(FakeDesk.purchase)/refund", ["kind": "cash", "idempotencyKey": "k"]
            ),
        ]
        for (path, form) in forms {
            let without = try await rig.post(path, form.merging(["step": "do"]) { $1 })
            #expect(without.status == 400, "\(path)")
            #expect(rig.notes.isEmpty, "\(path)")
        }
        for (path, form) in forms {
            let done = try await rig.post(path, form.merging(["step": "do", "reason": "because"]) { $1 })
            #expect(done.status == 303 || done.status == 200, "\(path): \(done.status)")
        }
        #expect(rig.notes.count == forms.count - 1, "refunds are noted by their port")
        #expect(Set(rig.notes.map(\.actor)) == ["staff:owner"])
    }

    @Test func aRefundIsOfAllThatIsLeftOrOfAnAmount() async throws {
        let back = FakeMoneyBack()
        let rig = ConsoleRig(.finance, back: back)
        let path = "/admin/purchases/\(FakeDesk.purchase)/refund"
        for (kind, amount) in [("cash", ""), ("cash", "4.99"), ("credit", ""), ("credit", "1.5")] {
            let form = [
                "kind": kind, "amount": amount, "reason": "r", "idempotencyKey": "k", "step": "do",
            ]
            #expect(try await rig.post(path, form).headers[.location] == "/admin/purchases?done=refunded")
        }
        let asked = back.asked.withLock { $0 }
        #expect(asked.map(\.cash) == [.rest, .cents(499), nil, nil])
        #expect(asked.map(\.credit) == [nil, nil, .rest, .millicredits(Millicredits(1500))])
        #expect(asked.allSatisfy { $0.actor == "staff:finance" && $0.request == "k" })
    }

    @Test func aReviewThatSomebodyDecidedIsAConflict() async throws {
        let reply = try await ConsoleRig(.support).post(
            "/admin/reviews/decide",
            ["user": "bob", "reviewId": "1", "decision": "clear", "reason": "r", "step": "do"])
        #expect(reply.status == 409 && reply.text.contains("decided it meanwhile"))
    }

    /// What nobody looked at must not be decided.
    @Test func aDecisionIsOfTheReviewThatWasSeen() async throws {
        let rig = ConsoleRig(.support)
        let list = try await rig.get("/admin/reviews").text
        #expect(list.contains("/admin/reviews/decide?user=ada&amp;reviewId=1"))
        let sheet = try await rig.get("/admin/reviews/decide?user=ada&reviewId=1").text
        #expect(sheet.contains(#"name="reviewId" value="1""#))
        var form = ["user": "ada", "decision": "clear", "reason": "r", "step": "do"]
        #expect(try await rig.post("/admin/reviews/decide", form).status == 400)
        form["reviewId"] = "2"
        let other = try await rig.post("/admin/reviews/decide", form)
        #expect(other.status == 409 && other.text.contains("not the one of this user that is open"))
        #expect(!other.text.contains(#"name="reviewId""#) && rig.notes.isEmpty)
    }

    // MARK: Rate cards

    /// Whoever typed a card must not lose it.
    @Test func whatWasTypedStaysInTheForm() async throws {
        let rig = ConsoleRig(.finance)
        let yaml = "card: <script>alert(1)</script>\r\n# kept"
        let without = try await rig.post("/admin/rate-card-editor", ["yaml": yaml, "step": "do"])
        #expect(without.status == 400)
        for reply in [
            without,
            try await rig.post("/admin/rate-card-editor", ["yaml": yaml, "step": "edit", "reason": "r"]),
        ] {
            #expect(reply.text.contains("card: &lt;script&gt;alert(1)&lt;/script&gt;\n# kept</textarea>"))
        }
        let question = try await rig.post("/admin/rate-card-editor", ["yaml": yaml, "reason": "r"])
        #expect(question.status == 200 && rig.notes.isEmpty && question.text.contains("The last 30 days"))
        #expect(!question.text.contains("<script>alert"))
    }

    /// On the question as on the form, where scripts lead into the field instead.
    @Test func aProblemLeadsToItsLine() async throws {
        let rig = ConsoleRig(.finance)
        let form = ["yaml": "card: c\r\nversion: doubtful <b>\r\n", "reason": "r"]
        for step in ["", "edit"] {
            let page = try await rig.post("/admin/rate-card-editor", form.merging(["step": step]) { $1 })
            #expect(page.text.contains("<a href=\"#line-2\">2</a>"))
            #expect(page.text.contains("<li id=\"line-2\" value=\"2\">version: doubtful &lt;b&gt;</li>"))
            #expect(!page.text.contains("href=\"#line-1\""), "the other has no line")
        }
        let plain = try await rig.post("/admin/rate-card-editor", ["yaml": "card: c", "reason": "r"])
        #expect(!plain.text.contains("id=\"line-1\""), "nothing leads there")
    }

    @Test(arguments: [
        ("card: c\n# ", 1 << 20, 200), ("card: c\n#+", (1 << 20) + 1, 413), ("\"", 1 << 20, 200),
    ])
    func aCardIsTakenUpToItsLimitHoweverItIsWritten(_ begin: String, _ bytes: Int, _ status: Int) async throws
    {
        let rig = ConsoleRig(.finance)
        let filler = begin == "\"" ? "\"" : "x"
        let yaml = begin + String(repeating: filler, count: bytes - begin.utf8.count)
        let page = try await rig.post("/admin/rate-card-editor", ["yaml": yaml, "reason": "r"])
        #expect(page.status == status)
        if status == 413 {
            #expect(
                page.text.contains("A card has at most 1048576 bytes.")
                    && page.text.contains("class=\"problem\""))
        }
    }

    @Test func aFormBeyondAllCardsIsRefusedByAPage() async throws {
        let yaml = String(repeating: "%", count: (1 << 20) + (32 << 10))
        let page = try await ConsoleRig(.finance).post(
            "/admin/rate-card-editor", ["yaml": yaml, "reason": "r"])
        #expect(page.status == 413 && page.text.contains("The body has more than 3211264 bytes."))
        #expect(page.headers[.contentType] == "text/html; charset=utf-8")
    }

    // MARK: What is looked for

    @Test func accountsAreLookedForByNumberAndByWhatIsShownOfAKey() async throws {
        let rig = ConsoleRig(.viewer)
        let page = try await rig.get("/admin/accounts?prefix=a&accountId=7&keyPrefix=tg_012345").text
        #expect(
            rig.rig.admin.queries.withLock { $0 } == [
                AccountQuery(prefix: "a", keyPrefix: "tg_012345", account: 7, limit: 50)
            ])
        #expect(page.contains(#"value="tg_012345" autocomplete="off" maxlength="9""#))
        for query in ["accountId=0", "accountId=x", "keyPrefix=tg_0123456789"] {
            let reply = try await rig.get("/admin/accounts?" + query)
            #expect(reply.status == 400 && !reply.text.contains("tg_0123456789"), "\(query)")
        }
        _ = try await rig.rig.get(
            "/api/admin/accounts?accountId=7&keyPrefix=tg_&limit=3", ControlRig.adminToken)
        #expect(
            rig.rig.admin.queries.withLock { $0.last }
                == AccountQuery(keyPrefix: "tg_", account: 7, limit: 3))
    }

    @Test func purchasesAreNarrowedByDays() async throws {
        let back = FakeMoneyBack(lines: [AdminListTests.line(1)])
        let rig = ConsoleRig(.viewer, back: back)
        _ = try await rig.get("/admin/purchases?status=paid&from=1970-01-02&to=1970-01-02")
        #expect(
            back.purchaseQueries.withLock { $0 } == [
                PurchaseQuery(statuses: [.paid], from: 86_400_000, to: 172_800_000, limit: 50)
            ])
        let wrong = try await rig.get("/admin/purchases?from=soon").text
        #expect(wrong.contains("Must be a day such as") && wrong.contains("No purchases of this kind."))
    }

    @Test func capsStandBesideWhatCountsAgainstThem() async throws {
        let page = try await ConsoleRig(.viewer).get("/admin/accounts/1").text
        let part = try #require(page.components(separatedBy: ">Spend caps</h2>").dropFirst().first)
        let rows = part.components(separatedBy: "<tr>").dropFirst(2).map {
            $0.components(separatedBy: "</tr>")[0].replacing(/<[^>]*>/, with: "|")
                .split(separator: /[|\n]/).joined(separator: "|")
        }
        #expect(
            rows.prefix(3) == [
                "One request|–|no cap|–", "The last 60 minutes|8|10|80 % reached",
                "This day (UTC)|1,234.5|1,000|reached",
            ])
        let reply = try await ControlRig().get("/api/admin/accounts/1", ControlRig.adminToken)
        #expect(
            reply.text.contains(
                #""capSpend":{"sessionMillicredits":"8000","dayMillicredits":"1234500"}"#))
    }

    // MARK: Dashboards

    /// A funnel is read by its rates, which nobody works out from thirty rows.
    @Test func operationsSayHowManyOrdersWerePaid() async throws {
        let page = try await ConsoleRig(.viewer).get("/admin/operations").text
        #expect(page.contains("4 of 6 (66.6 %)") && page.contains("2 of 6 (33.3 %)"))
        #expect(page.contains("none yet"), "no webhook event came")
        #expect(page.contains("Outstanding credits"), "the runbook's trend of the liability")
    }

    /// Each figure in its column: two that are swapped are a wrong decision.
    @Test func financeShowsEachFigureUnderItsName() async throws {
        let page = try await ConsoleRig(.finance).get("/admin/finance").text
        let cells = ["9.99", "1.50", "2.50", "0.75", "1.75", "8.49", "7.25"]
        var rest = page[...]
        for cell in ["Purchases", "Deductions"] + cells.prefix(2) + ["Revenue", "Cost", "Margin"]
            + cells[2..<5] + ["Outstanding credits", "Deferred revenue"] + cells[5...]
            + ["gpt-4o-mini", "1,234", "5,678", "910", "0.42", "0.21"]
        {
            let found = try #require(rest.range(of: cell), "\(cell) in its place")
            rest = rest[found.upperBound...]
        }
    }

    /// A ledger may be too large for a figure; the page still shows the others.
    @Test func whatTakesTooLongIsSaidWhereItWouldStand() async throws {
        let rig = ConsoleRig(.finance)
        #expect(try await rig.get("/admin/finance").text.contains("Purchases and deductions"))
        rig.rig.admin.isSlow.withLock { $0 = true }
        for (path, rest) in [
            ("/admin/finance", "Models of the last seven days"), ("/admin/operations", "This instance"),
            ("/admin/shadow-report", "First day"),
        ] {
            let page = try await rig.get(path)
            #expect(page.status == 200 && page.text.contains("given up after 15 seconds"), "\(path)")
            #expect(page.text.contains(rest) && !page.text.contains("Purchases and deductions"), "\(path)")
        }
    }
}
