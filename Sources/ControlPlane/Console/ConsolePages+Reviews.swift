import Billing
import Metering

/// Accounts whose spend a person should look at.
extension ConsolePages {
    static let reviewRoutes = [
        ConsoleRoute(path: "/admin/reviews", role: .viewer, kind: .page { try await $0.reviews($1) }),
        ConsoleRoute(
            path: "/admin/reviews/decide", role: .support,
            kind: .action(
                ConsoleAction(
                    title: "Decide a review", verb: "Decide it", isDangerous: true,
                    sheet: { try await $0.reviewSheet($1, $2) }, plan: { try await $0.reviewPlan($1, $2) }))),
    ]

    func reviews(_ view: ConsoleView, _ state: AccountReview.State?) async throws -> [AccountReview] {
        do throws(ReviewRefusal) {
            return try await self.admin.reviews.reviews(state, limit: 200)
        } catch {
            throw ReviewRoutes.error(error)
        }
    }

    private func reviews(_ view: ConsoleView) async throws -> Page {
        let state = view.parameter("state").flatMap { AccountReview.State(rawValue: $0) }
        let found = try await self.reviews(view, state)
        var search = ConsolePart("Search")
        search.form = .filter(
            self.site.link("/admin/reviews"),
            [
                .choice(
                    "state", "State",
                    [("", "All")] + AccountReview.State.allCases.map { ($0.rawValue, $0.rawValue) },
                    state?.rawValue ?? "")
            ])
        var list = ConsolePart(
            "Reviews", note: "Accounts that spent many times their mean. They are served all the same.")
        if found.isEmpty {
            list.emptyText = "No reviews of this kind."
        } else {
            list.table = ConsoleTable(
                "Reviews, newest first",
                [
                    .text("Day"), .text("User"), .number("Spent, credits"),
                    .number("Mean of 7 days, credits"), .text("State"), .text("Decision"),
                ] + (view.staff.role >= .support ? [.text("Action")] : []), found.map { self.row($0, view) })
        }
        return self.page("Reviews", view, in: "/admin/reviews", [search, list])
    }

    private func row(_ review: AccountReview, _ view: ConsoleView) -> [ConsoleCell] {
        let isOpen = review.state == .open
        var user = ConsoleCell.link(review.user, self.site.link("/admin/accounts/\(review.account)"))
        user.cellClass = "long"
        let decided = review.decision.map { "\($0.actor): \($0.reason)" }
        let cells: [ConsoleCell] = [
            .text(Moment.text(review.day)), user, .credits(review.spent), .credits(review.mean),
            .badge(review.state.rawValue, isOpen ? .warning : .info), .long(decided ?? "–"),
        ]
        guard view.staff.role >= .support else { return cells }
        let decide = self.site.link(
            "/admin/reviews/decide", [("user", review.user), ("reviewId", "\(review.id)")])
        return cells + [isOpen ? .action("Decide", of: review.user, decide) : .none]
    }

    // MARK: Deciding

    private func reviewSheet(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsoleSheet {
        ConsoleSheet(
            inputs: [
                .text("user", "User id", entry["user"]),
                .choice(
                    "decision", "Decision",
                    [("clear", "It was in order"), ("suspend", "Suspend the account")], entry["decision"]),
                ConsoleSheet.reason(entry),
            ], hidden: entry["reviewId"].map { [("reviewId", $0)] } ?? [])
    }

    private func reviewPlan(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsolePlan {
        let user = try entry.text("user", "The user id", 1...256)
        guard let seen = entry["reviewId"].flatMap({ Int64($0) }), seen > 0 else {
            throw APIError.badRequest(
                "reviewId", "Choose the review in the list of reviews, and decide it there.")
        }
        let isClear = entry["decision"] == "clear"
        guard isClear || entry["decision"] == "suspend" else {
            throw APIError.badRequest("decision", "The decision must be one of those offered.")
        }
        let note = view.note(try entry.reason())
        return ConsolePlan(
            changes: [.init(name: user, before: "open", after: isClear ? "cleared" : "suspended")],
            consequence: isClear
                ? "The account is not flagged again for that day."
                : "Every request of this user is refused with 403 within a second."
        ) {
            do throws(ReviewRefusal) {
                _ =
                    isClear
                    ? try await self.admin.reviews.clearReview(of: user, seen: seen, note)
                    : try await self.admin.reviews.suspendReviewed(user, seen: seen, note)
            } catch {
                throw ReviewRoutes.error(error)
            }
            return .go(self.site.link("/admin/reviews", [("done", isClear ? "cleared" : "suspended")]))
        }
    }
}
