import Billing

/// Events of Stripe, those that wait for a person among them.
extension ConsolePages {
    static let eventRoutes = [
        ConsoleRoute(path: "/admin/events", role: .viewer, kind: .page { try await $0.events($1) }),
        ConsoleRoute(
            path: "/admin/events/replay", role: .support,
            kind: .action(
                ConsoleAction(
                    title: "Apply events again", verb: "Apply again",
                    sheet: { try await $0.replaySheet($1, $2) }, plan: { try await $0.replayPlan($1, $2) }))),
        ConsoleRoute(
            path: "/admin/events/dismiss", role: .finance,
            kind: .action(
                ConsoleAction(
                    title: "Dismiss an event", verb: "Dismiss",
                    sheet: { try await $0.dismissSheet($1, $2) },
                    plan: { try await $0.dismissPlan($1, $2) }))),
    ]

    private func events(_ view: ConsoleView) async throws -> Page {
        let path = "/admin/events"
        let outcome = view.parameter("outcome").flatMap { EventOutcome(rawValue: $0) }
        var query = StoredEventQuery(outcomes: outcome.map { [$0] } ?? [], limit: Self.rows)
        if let type = view.parameter("type") {
            guard AdminRoutes.isWord(type) else {
                throw APIError.badRequest("type", "A type of event is a word such as charge.refunded.")
            }
            query.type = type
        }
        query.before = view.parameter("cursor").flatMap { StoredEventQuery.Cursor(text: $0) }
        let events = try await self.read(view) { [query] in try await self.dependencies.records.events(query)
        }
        var search = ConsolePart("Search")
        search.form = .filter(
            self.site.link(path),
            [
                .choice(
                    "outcome", "Outcome",
                    [("", "All")] + EventOutcome.allCases.map { ($0.rawValue, $0.rawValue) },
                    outcome?.rawValue ?? ""),
                .text("type", "Type", query.type, isRequired: false),
            ])
        if view.staff.role >= .support {
            search.links = [
                ConsoleLink(
                    linkText: "Apply all dead events again",
                    linkURL: self.site.link("/admin/events/replay", [("which", "dead")]))
            ]
        }
        var list = ConsolePart("Events", note: "Dead events are those that only a person can decide.")
        if events.isEmpty {
            list.emptyText = "No events of this kind."
        } else {
            list.table = ConsoleTable(
                "Events, latest first",
                [
                    .text("Received"), .text("Event"), .text("Type"), .text("Outcome"), .text("Why"),
                    .text("Purchase"), .number("Attempts"),
                ] + (view.staff.role >= .support ? [.text("Action")] : [])
                    + (view.staff.role >= .finance ? [.text("Decide")] : []),
                events.map { self.row($0, view) })
        }
        let next = events.count == Int(Self.rows) ? events.last?.cursor.text : nil
        list.links = self.pages(
            path, [("outcome", outcome?.rawValue), ("type", query.type)], next: next, view)
        return self.page("Webhook events", view, in: path, [search, list])
    }

    private func row(_ event: StoredEvent, _ view: ConsoleView) -> [ConsoleCell] {
        let tone: PageNotice.Tone =
            switch event.outcome {
            case .applied: .good
            case .ignored, .dismissed: .info
            case .dead: .bad
            }
        let cells: [ConsoleCell] = [
            .time(event.cursor.receivedAt / 1000), .long(event.record.id), .text(event.record.type),
            .badge(event.outcome.rawValue, tone), .text(event.reason ?? "–"),
            .long(event.hint?.purchase?.description ?? "–"), .count(event.attempts),
        ]
        guard view.staff.role >= .support else { return cells }
        let again = self.site.link(
            "/admin/events/replay", [("which", "one"), ("eventId", event.record.id)])
        let withAgain = cells + [.action("Apply again", of: event.record.id, again)]
        guard view.staff.role >= .finance else { return withAgain }
        let dismiss = self.site.link("/admin/events/dismiss", [("eventId", event.record.id)])
        return withAgain + [
            event.outcome == .dead ? .action("Dismiss", of: event.record.id, dismiss) : .text("–")
        ]
    }

    // MARK: Never

    private func dismissSheet(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsoleSheet {
        ConsoleSheet(
            note:
                "For an event that is to lead to nothing, such as a payment that was given back at Stripe. It needs "
                + "nobody any more; what differs in money is still told by the reconciliation.",
            inputs: [
                .text("eventId", "Event", entry["eventId"], hint: "evt_…"), ConsoleSheet.reason(entry),
            ])
    }

    private func dismissPlan(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsolePlan {
        let event = try ReplayRoutes.id(entry["eventId"])
        let note = view.note(try entry.reason())
        return ConsolePlan(
            changes: [.init(name: event, before: "needs a person", after: "dismissed")],
            consequence: "No credits are granted or taken for it."
        ) {
            do throws(ReplayRefusal) {
                try await self.admin.replay.dismiss(event, note: note)
            } catch {
                throw ReplayRoutes.dismissalError(error)
            }
            return .show(
                ConsoleOnce(
                    title: "Dismissed", note: "The event needs nobody any more.",
                    next: ("Back to the events", self.site.link("/admin/events"))))
        }
    }

    // MARK: Again

    private func replaySheet(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsoleSheet {
        ConsoleSheet(
            note: "What an event is about is read from Stripe again. Nothing counts twice.",
            inputs: [
                .choice(
                    "which", "Which", [("one", "One event"), ("dead", "All dead ones")],
                    entry["which"] ?? "one"),
                .text("eventId", "Event", entry["eventId"], hint: "evt_…, for one event.", isRequired: false),
                ConsoleSheet.reason(entry),
            ])
    }

    private func replayPlan(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsolePlan {
        let isDead = entry["which"] == "dead"
        let event = entry["eventId"]
        if !isDead {
            guard let event, StripeEventKind.isID(event, prefix: "evt_") else {
                throw APIError.badRequest("eventId", "Must be an id of an event, evt_….")
            }
        }
        let choice: ReplayChoice = isDead ? .dead : .event(event ?? "")
        let note = view.note(try entry.reason())
        return ConsolePlan(
            changes: [
                .init(
                    name: isDead ? "All dead events" : event ?? "", before: "as it is", after: "applied again"
                )
            ], consequence: "Each event is applied in a transaction of its own."
        ) {
            do throws(ReplayRefusal) {
                let done = try await self.admin.replay.replay(choice, note: note)
                return .show(
                    ConsoleOnce(
                        title: "Applied again",
                        note:
                            "\(done.events) events were looked at, \(done.posted) of them changed the books, "
                            + "\(done.open) still need a person.",
                        next: ("Back to the events", self.site.link("/admin/events"))))
            } catch {
                throw ReplayRoutes.error(error)
            }
        }
    }
}
