import Billing
import HTTPTypes
import Metering
import Testing

@testable import ControlPlane

/// What the owner of an account sees, and what the forms do. How it looks is the browser tests' to say.
@Suite struct CreditsPageTests {
    private static let tabs = [
        "credits", "usage", "ledger", "purchases", "statements", "estimate", "settings",
    ]

    private func page(_ rig: PortalRig, _ query: String, account: AccountID = 1) async throws -> Reply {
        try await rig.get("/billing?" + query, cookie: rig.portal.signIn(account).cookie)
    }

    @Test(arguments: Self.tabs) func everyTabIsAPage(_ tab: String) async throws {
        let page = try await self.page(PortalRig(), "tab=\(tab)")
        #expect(page.status == 200)
        #expect(page.text.contains(#"tab=\#(tab)" aria-current="page""#))
        #expect(page.text.matches(of: #/<h1>/#).count == 1)
    }

    /// Word for word as the runbook has them.
    @Test func theTrustLinesAreTheRunbooks() async throws {
        let text = try await self.page(PortalRig(), "tab=credits").text
        for line in [
            "Credits are prepaid. 1,000 Credits = $1.00", "You only pay for actual token usage",
            "USD equivalent is approximate", "Credits do not expire",
        ] { #expect(text.contains("<li>\(line)</li>")) }
    }

    @Test func theBalanceIsShownInItsParts() async throws {
        let rig = PortalRig()
        rig.rig.ledger.state.withLock {
            $0.held = [2: 1_500]
            $0.floors[2] = 500
        }
        let text = try await self.page(rig, "tab=credits", account: 2).text
        for figure in ["<strong>9,988</strong>", "≈ $9.988", "9,990", "<dd>1.5</dd>"] {
            #expect(text.contains(figure), "\(figure)")
        }
        rig.rig.ledger.state.withLock { $0.held = nil }
        #expect(try await self.page(rig, "tab=credits", account: 2).text.contains("<dd>not known</dd>"))
    }

    @Test func aLowBalanceIsSaid() async throws {
        let rig = PortalRig()
        #expect(try await self.page(rig, "tab=credits").text.contains("Your balance is low"))
        #expect(try await !self.page(rig, "tab=credits", account: 2).text.contains("Your balance is low"))
        rig.rig.ledger.state.withLock { $0.balances[1] = 0 }
        #expect(try await self.page(rig, "tab=credits").text.contains("You are out of credits"))
    }

    /// Nobody is told to buy what is free, and nobody is told that it is free who pays.
    @Test func pausedChargingIsSaidToThoseWhoAreNotCharged() async throws {
        let rig = PortalRig()
        rig.rig.ledger.state.withLock { $0.balances[1] = 0 }
        let paused = "Charging is paused: what you use now costs no credits."
        #expect(try await !self.page(rig, "tab=credits").text.contains(paused))
        rig.portal.state.withLock { $0.controls.charging = false }
        let page = try await self.page(rig, "tab=credits").text
        #expect(page.contains(paused) && !page.contains("out of credits"))
        rig.portal.state.withLock {
            $0.controls = Controls()
            $0.controls.rolloutPercentage = 0
            $0.controls.allowlist = [Array("ada".utf8)]
        }
        let charged = try await self.page(rig, "tab=credits").text
        #expect(!charged.contains(paused) && charged.contains("out of credits"))
        #expect(try await self.page(rig, "tab=credits", account: 2).text.contains(paused))
    }

    // MARK: Buying

    @Test func buyingLeadsToStripe() async throws {
        let desk = FakeDesk()
        let rig = PortalRig(desk: desk)
        let session = rig.portal.signIn(2)
        let reply = try await rig.post(
            "/billing/buy", "csrf=\(session.token.csrf)&package=starter", cookie: session.cookie)
        #expect(reply.status == 303 && reply.headers[.location] == "https://pay/cs_1")
        let orders = desk.orders.withLock { $0 }
        #expect(
            orders == [
                .init(
                    packageCode: "starter", account: 2,
                    successURL: "https://pay.example/billing?tab=credits&success=true",
                    cancelURL: "https://pay.example/billing?tab=credits&notice=canceled")
            ])
    }

    @Test(arguments: [
        (CheckoutRefusal.purchasesDisabled, 503, "paused at the moment"), (.tooMany, 429, "Too many unpaid"),
        (.unknownPackage, 400, "no package"), (.stripeUnavailable, 503, "does not answer"),
    ])
    func aRefusalIsSaidOnThePage(refusal: CheckoutRefusal, status: Int, text: String) async throws {
        let rig = PortalRig(desk: FakeDesk(refusing: refusal))
        let session = rig.portal.signIn(2)
        let reply = try await rig.post(
            "/billing/buy", "csrf=\(session.token.csrf)&package=starter", cookie: session.cookie)
        #expect(reply.status == status && reply.text.contains(text))
        #expect(reply.text.contains(#"role="alert""#))
    }

    @Test func pausedPurchasesDisableTheButtonsAndSayWhy() async throws {
        let rig = PortalRig()
        #expect(try await !self.page(rig, "tab=credits").text.contains(" disabled"))
        for (refusal, why) in [
            (CheckoutRefusal.purchasesDisabled, "Purchases are paused at the moment."),
            (.notConfigured, "Purchases are not set up here."),
        ] {
            rig.portal.state.withLock { $0.refusal = refusal }
            let text = try await self.page(rig, "tab=credits").text
            #expect(text.matches(of: #/<button type="submit" disabled/#).count == 2)
            #expect(text.contains(why))
        }
    }

    @Test func whoeverIsSuspendedLooksButDoesNotBuy() async throws {
        let desk = FakeDesk()
        let rig = PortalRig(desk: desk)
        rig.rig.ledger.state.withLock { $0.suspended = [1] }
        for tab in Self.tabs { #expect(try await self.page(rig, "tab=\(tab)").status == 200) }
        let text = try await self.page(rig, "tab=credits").text
        #expect(text.contains("This account is suspended.") && text.contains(" disabled"))
        let session = rig.portal.signIn(1)
        let form = "csrf=\(session.token.csrf)&package=starter&threshold=10&limit=50&action=on"
        #expect(try await rig.post("/billing/buy", form, cookie: session.cookie).status == 403)
        #expect(try await rig.post("/billing/auto-recharge", form, cookie: session.cookie).status == 403)
        let orders = desk.orders.withLock { $0 }
        #expect(orders.isEmpty)
        let off = "csrf=\(session.token.csrf)&action=off"
        #expect(try await rig.post("/billing/auto-recharge", off, cookie: session.cookie).status == 303)
    }

    // MARK: Lists

    @Test func listsAreReadInPages() async throws {
        let history = FakeHistory()
        history.state.withLock {
            $0.entries[1] = (1...60).map {
                LedgerEntry(
                    line: LedgerLine(
                        version: $0, type: $0 % 2 == 0 ? "deduction" : "purchase", amount: Millicredits($0),
                        balanceAfter: .zero, referenceType: "test", referenceID: "line-\($0).",
                        createdAt: $0 * 1000))
            }
        }
        let rig = PortalRig(history: history)
        var (query, seen): (String?, [String]) = ("tab=ledger", [])
        while let this = query {
            let text = try await self.page(rig, this).text
            seen += text.matches(of: #/line-\d+\./#).map { String($0.0) }
            query = text.firstMatch(of: #/href="\/billing\?([^"]+)" rel="next"/#).map {
                String($0.1).replacing("&amp;", with: "&")
            }
        }
        #expect(seen == (1...60).reversed().map { "line-\($0)." }, "none is skipped or repeated")
        let purchases = try await self.page(rig, "tab=ledger&type=purchase").text
        #expect(!purchases.contains("line-60.") && purchases.contains("line-59."))
    }

    @Test func purchasesAreNarrowedByTheirStatusAndDays() async throws {
        let back = FakeMoneyBack(lines: (1...60).map(AdminListTests.line))
        let rig = PortalRig(back: back)
        let page = try await self.page(rig, "tab=purchases&status=unpaid&from=1970-01-02&to=1970-01-03").text
        let asked = try #require(back.purchaseQueries.withLock { $0.last })
        #expect(asked.statuses == [.created, .open] && asked.from == 86_400_000 && asked.to == 259_200_000)
        #expect(page.contains(#"<option value="unpaid" selected>Not paid yet</option>"#))
        let next = try #require(page.firstMatch(of: #/href="\/billing\?([^"]+)" rel="next"/#))
        for part in ["status=unpaid", "from=1970-01-02", "to=1970-01-03", "cursor="] {
            #expect(next.1.contains(part), "the next page is of the same list: \(part)")
        }
        let empty = try await self.page(PortalRig(), "tab=purchases&status=paid").text
        #expect(empty.contains("There is nothing to show.") && !empty.contains("not bought anything"))
        let none = try await self.page(PortalRig(), "tab=purchases").text
        #expect(none.contains("You have not bought anything yet."))
    }

    @Test(arguments: [
        "tab=purchases&from=x", "tab=purchases&from=2026-03-02&to=2026-03-01",
        "tab=ledger&from=yesterday", "tab=ledger&to=2026-02-30", "tab=ledger&from=2026-03-02&to=2026-03-01",
        "tab=usage&from=2026-01-01&to=2026-12-31", "tab=usage&from=x", "tab=usage&from=2999-01-01",
        "tab=estimate&input=-1", "tab=estimate&output=many", "tab=estimate&input=1&cached=2",
    ])
    func aWrongFieldIsNamed(_ query: String) async throws {
        let page = try await self.page(PortalRig(), query)
        #expect(page.status == 200)
        #expect(page.text.contains(#"aria-invalid="true""#))
        #expect(page.text.contains(#"class="problem""#))
    }

    @Test func usageIsAddedUpByDayAndModel() async throws {
        let rig = PortalRig()
        let today = CreditsPages.today()
        rig.portal.state.withLock {
            $0.days[1] = ["gpt-4o", "<b>\"x\u{301}"].map {
                UsageDay(
                    day: today, model: $0, exchanges: 2, inputTokens: 1_000, outputTokens: 20,
                    charged: Millicredits(1_250))
            }
        }
        let text = try await self.page(rig, "tab=usage").text
        #expect(text.contains("<strong>2.5</strong> credits"))
        #expect(text.contains(#"data-model="gpt-4o" data-millicredits="1250""#))
        #expect(text.contains("&lt;b&gt;&quot;x\u{301}") && !text.contains("<b>"))
        #expect(text.contains("/assets/chart."))
        let one = try await self.page(rig, "tab=usage&model=gpt-4o").text
        #expect(one.contains("<strong>1.25</strong> credits"))
    }

    /// Chart.js is the operating system's to have; without it the figures stand in an open table.
    @Test(arguments: [true, false]) func withoutAChartTheTableIsOpen(_ hasChart: Bool) async throws {
        let rig = PortalRig(hasChart: hasChart)
        rig.portal.state.withLock {
            $0.days[1] = [
                UsageDay(
                    day: CreditsPages.today(), model: "gpt-4o", exchanges: 1, inputTokens: 1, outputTokens: 1,
                    charged: Millicredits(1))
            ]
        }
        let text = try await self.page(rig, "tab=usage").text
        #expect(text.contains("<details open>") != hasChart)
        #expect(text.contains("<canvas") == hasChart && text.contains("/assets/chart.") == hasChart)
    }

    @Test func statementsBeginWithTheAccount() async throws {
        let text = try await self.page(PortalRig(), "tab=statements").text
        #expect(text.contains("/api/billing/statements/2026-09.pdf"))
        #expect(!text.contains("/api/billing/statements/2026-08.pdf"))
        #expect(text.contains("/api/billing/statements/\(CreditsPages.today().month).csv"))
    }

    @Test func theEstimatorTellsRealRates() async throws {
        let text = try await self.page(PortalRig(), "tab=estimate&model=gpt-4o-mini&input=750&output=200")
            .text
        #expect(text.contains("<strong>3.72</strong> credits"))
    }

    // MARK: Settings

    @Test func autoRechargeIsSetByAForm() async throws {
        let rig = PortalRig()
        let session = rig.portal.signIn(2)
        func set(_ form: String) async throws -> Reply {
            try await rig.post(
                "/billing/auto-recharge", "csrf=\(session.token.csrf)&" + form, cookie: session.cookie)
        }
        let done = try await set("action=on&threshold=1000&package=starter&limit=50")
        #expect(done.status == 303 && done.headers[.location] == "/billing?tab=settings&notice=recharge-on")
        for (form, field) in [
            ("threshold=ten&package=starter&limit=50", "threshold"), ("threshold=1&limit=50", "package"),
            ("threshold=1&package=starter&limit=0", "limit"),
            ("threshold=1&package=starter&limit=5", "limit"),
        ] {
            let reply = try await set("action=on&" + form)
            #expect(reply.status == 422, "\(form)")
            #expect(reply.text.contains(#"aria-describedby="\#(field)-problem""#), "\(form)")
        }
        let typed = try await set("action=on&threshold=ten&package=starter&limit=50").text
        #expect(typed.contains(#"value="ten""#), "what was typed stays")
    }

    @Test func whereItIsOffThePageSaysSo() async throws {
        let rig = PortalRig(recharges: FakeRecharges(refusing: .notEnabled))
        #expect(try await self.page(rig, "tab=settings").text.contains("Auto-recharge is not offered here."))
    }

    @Test func oddParametersAreText() async throws {
        let evil = "%22%CC%81%3E%3Cscript%3Ealert(1)%3C/script%3E"
        for tab in Self.tabs {
            let query = ["model", "from", "to", "type", "cursor", "notice", "input", "cached", "output"]
                .map { "\($0)=\(evil)" }.joined(separator: "&")
            let page = try await self.page(PortalRig(), "tab=\(tab)&success=true&session_id=\(evil)&" + query)
            #expect(page.status == 200 && !page.text.contains("<script>alert"), "\(tab)")
            #expect(
                !page.text.unicodeScalars.contains("\u{301}") || page.text.contains("&quot;\u{301}"), "\(tab)"
            )
        }
    }
}
