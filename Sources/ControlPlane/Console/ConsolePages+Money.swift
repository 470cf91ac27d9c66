import Billing
import Metering

/// Purchases, and money back.
extension ConsolePages {
    static let moneyRoutes = [
        ConsoleRoute(path: "/admin/purchases", role: .viewer, kind: .page { try await $0.purchases($1) }),
        ConsoleRoute(
            path: "/admin/purchases/:purchase/refund", role: .finance,
            kind: .action(
                ConsoleAction(
                    title: "Refund a purchase", verb: "Refund it", isDangerous: true,
                    sheet: { try await $0.refundSheet($1, $2) }, plan: { try await $0.refundPlan($1, $2) }))),
    ]

    // MARK: The list

    private func purchases(_ view: ConsoleView) async throws -> Page {
        let path = "/admin/purchases"
        let statuses = Purchase.Status.allCases.map(\.rawValue)
        var query = PurchaseQuery(limit: Self.rows)
        if let user = view.parameter("userId") {
            guard UserID.isValid(user) else {
                throw APIError.badRequest(
                    "userId", "A user id has 1 to 256 bytes without control characters.")
            }
            query.userID = user
        }
        let status = view.parameter("status").flatMap { Purchase.Status(rawValue: $0) }
        query.statuses = status.map { [$0] } ?? []
        let range = DayRange(view.parameters)
        (query.from, query.to) = (range.fromMilliseconds, range.toMilliseconds)
        query.before = view.parameter("cursor").flatMap { PurchaseID(text: $0) }
        let lines = try await self.read(view) { [query] in
            range.isSound ? try await self.dependencies.records.purchases(query) : []
        }
        var search = ConsolePart("Search")
        search.form = .filter(
            self.site.link(path),
            [
                .text("userId", "User id", query.userID, isRequired: false),
                .choice(
                    "status", "Status", [("", "All")] + statuses.map { ($0, $0) },
                    status?.rawValue ?? ""),
            ] + ConsoleInput.days(range, view))
        var list = ConsolePart("Purchases")
        if lines.isEmpty {
            list.emptyText = "No purchases of this kind."
        } else {
            list.table = ConsoleTable(
                "Purchases, newest first",
                [
                    .text("Time"), .text("User"), .text("Package"), .text("Status"), .number("Price"),
                    .number("Given back"), .number("Credits"), .text("To be looked at"),
                ] + (view.staff.role >= .finance ? [.text("Action")] : []),
                lines.map { self.row($0, view) })
        }
        let next = lines.count == Int(Self.rows) ? lines.last?.purchase.id.description : nil
        list.links = self.pages(
            path,
            [
                ("userId", query.userID), ("status", status?.rawValue), ("from", range.from?.description),
                ("to", range.through?.description),
            ], next: next, view)
        return self.page("Purchases", view, in: path, [search, list])
    }

    private func row(_ line: PurchaseLine, _ view: ConsoleView) -> [ConsoleCell] {
        let purchase = line.purchase
        let status = line.posted.isDisputed ? "disputed" : purchase.status.rawValue
        let tone: PageNotice.Tone =
            line.posted.isDisputed ? .bad : purchase.status == .paid ? .good : .info
        var user = ConsoleCell.link(line.userID, self.site.link("/admin/accounts/\(purchase.account)"))
        user.cellClass = "long"
        let cells: [ConsoleCell] = [
            .time(line.paidAt ?? purchase.createdAt), user, .text(purchase.packageName), .badge(status, tone),
            .number(Figures.dollars(cents: purchase.priceUSDCents)),
            .number(Figures.dollars(cents: line.posted.reversedCents)), .credits(purchase.credits),
            .text(line.doubt ?? "–"),
        ]
        guard view.staff.role >= .finance else { return cells }
        let refund = self.site.link("/admin/purchases/\(purchase.id.description)/refund")
        return cells + [
            purchase.status == .paid
                ? .action("Refund", of: "\(purchase.packageName) of \(line.userID)", refund) : .none
        ]
    }

    // MARK: Back

    private static let noSuchPurchase = APIError(
        status: .notFound, message: "There is no such purchase.", code: "purchase_not_found")

    private func purchase(_ view: ConsoleView) throws -> PurchaseID {
        guard let id = view.context.parameters.get("purchase").flatMap({ PurchaseID(text: $0) }) else {
            throw Self.noSuchPurchase
        }
        return id
    }

    private func refundSheet(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsoleSheet {
        let id = try self.purchase(view)
        let line = try await self.read(view) {
            var query = PurchaseQuery(limit: 1)
            query.only = id
            return try await self.dependencies.records.purchases(query).first
        }
        guard let line else { throw Self.noSuchPurchase }
        return ConsoleSheet(
            facts: [
                ConsoleFact("User", .text(line.userID)),
                ConsoleFact("Package", .text(line.purchase.packageName)),
                ConsoleFact(
                    "Price",
                    .text(
                        Figures.dollars(cents: line.purchase.priceUSDCents),
                        fine: "\(Figures.credits(line.purchase.credits)) credits")),
                ConsoleFact("Given back", .text(Figures.dollars(cents: line.posted.reversedCents))),
                ConsoleFact("Paid", .time(line.paidAt)), ConsoleFact("Purchase", .text(id.description)),
            ],
            note:
                "A refund in cash goes back to the card, and takes its credits back. One in credits moves no money: "
                + "it makes up for usage that failed its user.",
            inputs: [
                .choice(
                    "kind", "Kind", [("cash", "Cash, in dollars"), ("credit", "Credits")],
                    entry["kind"] ?? "cash"),
                .text(
                    "amount", "Amount, in dollars or credits", entry["amount"],
                    hint: "Empty: all that is left.", isRequired: false),
                ConsoleSheet.reason(entry),
            ], hidden: [("idempotencyKey", entry["idempotencyKey"] ?? Self.freshKey())])
    }

    private func refundPlan(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsolePlan {
        let id = try self.purchase(view)
        let key = try entry.text("idempotencyKey", "The form", 1...200)
        let amount = try Self.amount(entry)
        let reason = try entry.reason()
        let order = RefundOrder(purchase: id, amount: amount, reason: reason, key: key)
        return ConsolePlan(
            changes: [.init(name: "Purchase \(id.description)", before: "paid", after: Self.text(amount))],
            consequence: "The refund is made at once, and once only. A refund in cash cannot be taken back."
        ) {
            do throws(RefundFailure) {
                try await self.make(order, view.note(reason))
                return .go(self.site.link("/admin/purchases", [("done", "refunded")]))
            } catch .unknown {
                return .go(self.site.link("/admin/purchases", [("done", "refund-pending")]))
            } catch {
                throw AdminRoutes.error(error, order)
            }
        }
    }

    private func make(_ order: RefundOrder, _ note: ChangeNote) async throws(RefundFailure) {
        switch order.amount {
        case .cash(let amount):
            _ = try await self.dependencies.refunds.refundCash(
                order.key, of: order.purchase, amount: amount, note: note)
        case .credit(let amount):
            _ = try await self.dependencies.refunds.refundCredits(
                order.key, of: order.purchase, amount: amount, note: note)
        }
    }

    private static func amount(_ entry: ConsoleEntry) throws -> RefundOrder.Amount {
        let isCash = entry["kind"] == "cash"
        guard isCash || entry["kind"] == "credit" else {
            throw APIError.badRequest("kind", "The kind must be one of those offered.")
        }
        guard let text = entry["amount"] else { return isCash ? .cash(.rest) : .credit(.rest) }
        guard let value = Figures.parse(text, digits: isCash ? 2 : 3), value > 0 else {
            throw APIError.badRequest(
                "amount",
                isCash ? "Must be an amount in dollars such as 5 or 4.99." : "Must be a number of credits.")
        }
        return isCash ? .cash(.cents(value)) : .credit(.millicredits(Millicredits(value)))
    }

    private static func text(_ amount: RefundOrder.Amount) -> String {
        switch amount {
        case .cash(.cents(let cents)): "\(Figures.dollars(cents: cents)) back to the card"
        case .cash(.rest): "all that is left, back to the card"
        case .credit(.millicredits(let amount)): "\(Figures.credits(amount)) credits back"
        case .credit(.rest): "all credits that may still be given"
        }
    }
}
