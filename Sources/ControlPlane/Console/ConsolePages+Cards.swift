import Billing
import Metering

/// Rate cards: those that were applied, and an editor.
extension ConsolePages {
    static let cardRoutes = [
        ConsoleRoute(path: "/admin/rate-cards", role: .viewer, kind: .page { try await $0.cards($1) }),
        ConsoleRoute(
            path: "/admin/rate-cards/:card/:version", role: .viewer,
            kind: .page { try await $0.card($1) }),
        ConsoleRoute(
            path: "/admin/rate-card-editor", role: .finance,
            kind: .action(
                ConsoleAction(
                    title: "Rate-card editor", verb: "Apply it", isDangerous: true,
                    sheet: { try await $0.cardSheet($1, $2) }, plan: { try await $0.cardPlan($1, $2) }))),
    ]

    private static let simulatedDays: Int64 = 30

    // MARK: Applied ones

    private func cards(_ view: ConsoleView) async throws -> Page {
        let cards = try await self.read(view) { try await self.admin.cards.appliedCards() }
        var list = ConsolePart(
            "Cards", note: "A card cannot be changed once it was applied: a new version replaces it.")
        if cards.isEmpty {
            list.emptyText = "No card was applied yet."
        } else {
            list.table = ConsoleTable(
                "Cards; what takes effect last comes first",
                [.text("Card"), .text("State"), .text("In effect from"), .text("Applied"), .text("By")],
                cards.map { card in
                    [
                        .link("\(card.card)@\(card.version)", self.link(to: card)),
                        card.isActive ? .badge("active", .good) : .text("–"), .time(card.effectiveFrom),
                        .time(card.appliedAt), .text(card.appliedBy),
                    ]
                })
        }
        if view.staff.role >= .finance { list.links = [self.editorLink(cards.first { $0.isActive })] }
        return self.page("Rate cards", view, in: "/admin/rate-cards", [list])
    }

    private func link(to card: AppliedRateCard) -> String {
        self.site.link("/admin/rate-cards/\(WebSite.escaped(card.card))/\(WebSite.escaped(card.version))")
    }

    private func editorLink(_ card: AppliedRateCard?) -> ConsoleLink {
        ConsoleLink(
            linkText: card == nil ? "New card" : "New card from the active one",
            linkURL: self.site.link(
                "/admin/rate-card-editor", [("card", card?.card), ("version", card?.version)]))
    }

    private func text(_ view: ConsoleView, _ card: String, _ version: String) async throws -> String {
        guard !(card + version).unicodeScalars.contains("\0") else { throw APIError.noSuchCard }
        let text = try await self.read(view) {
            try await self.admin.cards.text(ofCard: card, version: version)
        }
        guard let text else { throw APIError.noSuchCard }
        return text
    }

    private func card(_ view: ConsoleView) async throws -> Page {
        let parameters = view.context.parameters
        let (card, version) = (parameters.get("card") ?? "", parameters.get("version") ?? "")
        var part = ConsolePart("As it was applied")
        part.code = try await self.text(view, card, version)
        return self.page("\(card)@\(version)", view, in: "/admin/rate-cards", [part])
    }

    // MARK: The editor

    /// Browsers send lines with CR and LF.
    private static func yaml(_ entry: ConsoleEntry) -> String? {
        entry.values["yaml"].map { text in
            String(String.UnicodeScalarView(text.unicodeScalars.filter { $0 != "\r" }))
        }
    }

    private func cardSheet(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsoleSheet {
        var yaml = Self.yaml(entry)
        var sheet = ConsoleSheet(
            note:
                "Nothing changes before you confirm what the card would do. Give it a new version, and the moment "
                + "from which it counts: effective_from.")
        if let yaml {
            // The error of one that is too large stands at its field.
            if yaml.utf8.count <= CardReview.cardBytesMax {
                sheet.more = Self.problems(try await self.review(view, yaml), in: yaml)
            }
        } else if let card = entry["card"], let version = entry["version"] {
            yaml = try await self.text(view, card, version)
        } else {
            let cards = try await self.read(view) { try await self.admin.cards.appliedCards() }
            if let active = cards.first(where: \.isActive) {
                yaml = try await self.text(view, active.card, active.version)
            }
        }
        sheet.inputs = [.area("yaml", "Card, YAML", yaml), ConsoleSheet.reason(entry)]
        return sheet
    }

    private func review(_ view: ConsoleView, _ yaml: String) async throws -> CardReview {
        guard yaml.utf8.count <= CardReview.cardBytesMax else { throw RateCardRoutes.tooLarge }
        guard !yaml.unicodeScalars.contains("\0") else {
            throw APIError.badRequest("yaml", "A card must not have NUL in it.")
        }
        return try await self.read(view) { try await self.admin.cards.review(yaml) }
    }

    private static func problems(_ review: CardReview, in yaml: String) -> [ConsolePart] {
        guard !review.problems.isEmpty else { return [] }
        var part = ConsolePart("Problems and warnings")
        part.table = ConsoleTable(
            "Problems and warnings", [.text("Kind"), .text("Line"), .text("Where"), .text("What")],
            review.problems.map { problem in
                [
                    Self.badge(problem), problem.line.map { .link("\($0)", "#line-\($0)") } ?? .none,
                    .long(problem.path), .long(problem.message),
                ]
            })
        let excerpt = Self.lines(review.problems.compactMap(\.line), of: yaml)
        guard !excerpt.isEmpty else { return [part] }
        var card = ConsolePart("Their lines in the card")
        card.codeLines = excerpt
        return [part, card]
    }

    /// What problems lead to, with the lines around: a card may have thousands.
    private static func lines(_ numbers: [Int64], of yaml: String) -> [ConsolePart.CodeLine] {
        let all = yaml.split(separator: "\n", omittingEmptySubsequences: false)
        let around = Set(numbers.prefix(200).flatMap { Array(Int($0) - 3...Int($0) + 3) })
        let shown = around.filter { 1...all.count ~= $0 }.sorted()
        return zip(shown, [0] + shown).map { number, before in
            .init(
                lineNumber: number, lineText: String(all[number - 1]),
                isGap: before > 0 && number > before + 1)
        }
    }

    private static func badge(_ problem: CardReview.Problem) -> ConsoleCell {
        switch problem.severity {
        case "error": .badge(problem.severity, .bad)
        case "warning": .badge(problem.severity, .warning)
        default: .badge(problem.severity, .info)
        }
    }

    private func cardPlan(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsolePlan {
        guard let yaml = Self.yaml(entry), entry["yaml"] != nil else {
            throw APIError.badRequest("yaml", "The card is missing.")
        }
        let review = try await self.review(view, yaml)
        guard !review.isRefused else { throw RateCardRoutes.error(.invalid(review)) }
        let effect = entry.isConfirmed ? nil : try await self.effect(yaml, view)
        let note = view.note(try entry.reason())
        let problems = Self.problems(review, in: yaml)
        let warnings = review.problems.filter { $0.severity == "warning" }.count
        return ConsolePlan(
            changes: review.changes.map {
                .init(
                    name: [$0.model, $0.path].compactMap { $0 }.joined(separator: " "),
                    before: $0.from ?? ($0.change == "added" ? "–" : ""),
                    after: $0.to ?? $0.change)
            },
            consequence:
                "\(review.card ?? "") replaces \(review.active ?? "nothing") from its effective_from on. "
                + "It cannot be changed afterwards; another version can replace it.",
            warning: warnings > 0
                ? "\(warnings) warning\(warnings == 1 ? "" : "s"): see below before you apply the card."
                : nil,
            more: problems.prefix(1) + [effect, self.margins(review)].compactMap { $0 } + problems.dropFirst()
        ) {
            let done = try await RateCardRoutes.asking(view.context) {
                try await self.admin.cards.apply(yaml, note: note)
            }
            return .go(self.site.link("/admin/rate-cards", [("done", done.isNew ? "card" : "card-same")]))
        }
    }

    private func margins(_ review: CardReview) -> ConsolePart {
        var part = ConsolePart(
            "Margin per model",
            note:
                "What remains of a price after OpenAI's cost. Prices and costs are in credits per 1,000 tokens, "
                + "characters or calls, or per second.")
        guard !review.margins.isEmpty else {
            part.emptyText = "The card has no prices."
            return part
        }
        part.table = ConsoleTable(
            "Margin per model",
            [.text("Model"), .text("Rate"), .number("Price"), .number("Cost"), .number("Margin")],
            review.margins.map {
                [.text($0.model), .text($0.path), .number($0.price), .number($0.cost), .number($0.margin)]
            })
        return part
    }

    /// A card that ends a wrong price must not wait for the history of a large ledger.
    private func effect(_ yaml: String, _ view: ConsoleView) async throws -> ConsolePart {
        var part = ConsolePart(
            "The last \(Self.simulatedDays) days under this card",
            note: "What was charged, and what would have been charged for the same usage.")
        let history: CardHistory
        do {
            history = try await RateCardRoutes.asking(view.context) {
                try await self.admin.cards.simulate(yaml, days: Self.simulatedDays)
            }
        } catch let error as APIError where error.code == "busy" {
            part.emptyText = "Not known: another simulation runs. The card can be applied all the same."
            return part
        }
        part.table = ConsoleTable(
            "Charged by model, credits",
            [
                .text("Model"), .number("Requests"), .number("Was charged"), .number("Would be"),
                .number("Difference"),
            ],
            (history.models + [history.total]).map { line in
                [
                    .text(line.name), .count(line.events), Self.credits(line.now), Self.credits(line.then),
                    Self.credits(line.then - line.now),
                ]
            })
        return part
    }

    static func credits(_ millicredits: Int128) -> ConsoleCell {
        .number(Figures.decimal(ExactDecimal(coefficient: millicredits, scale: 3)))
    }
}
