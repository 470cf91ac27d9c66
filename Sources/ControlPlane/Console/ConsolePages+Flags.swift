import Billing
import Metering

/// Feature flags and kill switches.
extension ConsolePages {
    static let flagRoutes = [
        ConsoleRoute(path: "/admin/flags", role: .viewer, kind: .page { try await $0.flags($1) }),
        ConsoleRoute(
            path: "/admin/flags/:name", role: .owner,
            kind: .action(
                ConsoleAction(
                    title: "Change a flag", verb: "Change it", isDangerous: true,
                    sheet: { try await $0.flagSheet($1, $2) }, plan: { try await $0.flagPlan($1, $2) }))),
    ]

    /// Off, they stop something at once.
    static let killSwitches: [ControlName] = [.charging, .purchases, .autoRecharge]

    /// In the words of the overview.
    static func title(_ name: ControlName) -> String {
        switch name {
        case .charging: "Charging of usage"
        case .purchases: "Sale of credits"
        case .autoRecharge: "Auto-recharge"
        case .rolloutPercentage: "Rollout"
        case .allowlist: "Users who are always charged"
        case .modelAllowlist: "Models that are served"
        case .anomalyMultiplier: "Review of spend"
        }
    }

    static func onOff(_ flag: FlagState) -> ConsoleCell {
        flag.value == "true" ? .badge("on", .good) : .badge("off", .warning)
    }

    func flagStates(_ view: ConsoleView) async throws -> [FlagState] {
        try await FlagRoutes.asking { () async throws(FlagRefusal) in try await self.admin.flags.flags() }
    }

    private func flags(_ view: ConsoleView) async throws -> Page {
        let flags = try await self.flagStates(view)
        var switches = ConsolePart(
            "Kill switches", note: "They act within a second on every instance, and stay as they are set.")
        switches.table = self.flagTable(
            "Kill switches", flags.filter { Self.killSwitches.contains($0.name) }, view)
        var others = ConsolePart("Flags")
        others.table = self.flagTable("Flags", flags.filter { !Self.killSwitches.contains($0.name) }, view)
        return self.page("Flags", view, in: "/admin/flags", [switches, others])
    }

    private func flagTable(_ caption: String, _ flags: [FlagState], _ view: ConsoleView) -> ConsoleTable {
        ConsoleTable(
            caption,
            [
                .text("Name"), .text("Value"), .text("In the environment"), .text("What counts"),
                .text("Last change"), .text("Reason"),
            ],
            flags.map { flag in
                var name =
                    view.staff.role >= .owner
                    ? ConsoleCell.link(
                        flag.name.rawValue, self.site.link("/admin/flags/\(flag.name.rawValue)"))
                    : .text(flag.name.rawValue)
                name.cellFine = flag.name.meaning
                name.cellClass = "flag"
                var last = ConsoleCell.time(flag.change?.at)
                last.cellFine = flag.change.map { "by \($0.actor)" }
                return [
                    name,
                    ["true", "false"].contains(flag.value) ? Self.onOff(flag) : Self.words(flag.value),
                    Self.words(flag.environmentValue),
                    .name(flag.source == .flag ? "set here" : "environment"), last,
                    .long(flag.change?.reason ?? "–"),
                ]
            })
    }

    /// A list may be empty.
    private static func words(_ value: String) -> ConsoleCell {
        value.isEmpty ? .text("empty") : value.utf8.count > 16 ? .long(value) : .text(value)
    }

    // MARK: Changing one

    private func flag(_ view: ConsoleView) async throws -> FlagState {
        let name = try FlagRoutes.name(view.context)
        guard let flag = try await self.flagStates(view).first(where: { $0.name == name }) else {
            throw APIError.notFound
        }
        return flag
    }

    private func flagSheet(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsoleSheet {
        let flag = try await self.flag(view)
        var sheet = ConsoleSheet(note: "\(flag.name.rawValue): \(flag.name.meaning).")
        sheet.facts = [
            ConsoleFact("Value now", Self.words(flag.value)),
            ConsoleFact("In the environment", Self.words(flag.environmentValue)),
        ]
        let value = entry["value"] ?? flag.value
        let switched = ConsoleInput.choice(
            "value", "New value", [("true", "On"), ("false", "Off")], value)
        sheet.inputs = [
            ["true", "false"].contains(flag.value)
                ? switched : .text("value", "New value", value, isRequired: false),
            .choice(
                "source", "What counts",
                [("flag", "The new value"), ("environment", "What the environment says, as at the start")],
                entry["source"] ?? "flag"), ConsoleSheet.reason(entry),
        ]
        sheet.hidden = [("expectedVersion", entry["expectedVersion"] ?? String(flag.version))]
        return sheet
    }

    private func flagPlan(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsolePlan {
        let flag = try await self.flag(view)
        let source = try entry.word("source", "What counts", FlagState.Source.self)
        let typed = source == .flag ? entry["value"] ?? "" : flag.environmentValue
        let value: String
        do throws(ControlProblem) { value = try Controls.canonical(flag.name, typed) } catch {
            throw APIError.badRequest("value", "The value \(error.message).")
        }
        guard let version = entry["expectedVersion"].flatMap({ Int64($0) }) else {
            throw APIError.badRequest("expectedVersion", "The form is not whole; open the page again.")
        }
        guard version == flag.version else {
            throw FlagRoutes.error(.changedMeanwhile(version: flag.version))
        }
        let (desk, note) = (self.admin.flags, view.note(try entry.reason()))
        let home = self.site.link("/admin/flags", [("done", "flag")])
        return ConsolePlan(
            changes: [.init(name: flag.name.rawValue, before: flag.value, after: value)],
            consequence: Self.consequence(flag.name, value)
        ) {
            try await FlagRoutes.asking { () async throws(FlagRefusal) in
                source == .flag
                    ? try await desk.setFlag(flag.name, to: value, expecting: version, note)
                    : try await desk.clearFlag(flag.name, expecting: version, note)
            }
            return .go(home)
        }
    }

    /// In plain words, what happens a second later.
    static func consequence(_ name: ControlName, _ value: String) -> String {
        switch (name, value) {
        case (.charging, "false"):
            "Nobody is charged from then on: requests are served without a 402 and settled as waived, and OpenAI's "
                + "costs are yours."
        case (.charging, _): "Requests are charged, and refused with 402 when credits run out."
        case (.purchases, "false"): "Nobody can buy credits. Payments that were made still count."
        case (.purchases, _): "Credits are sold."
        case (.autoRecharge, "false"): "No saved card is charged. Charges that are under way still count."
        case (.autoRecharge, _): "Saved cards are charged when credits run low, for those who turned it on."
        case (.rolloutPercentage, _): "\(value) of 100 users are charged; all others are served for free."
        case (.allowlist, _): "Users of this list are charged, whatever the percentage."
        case (.modelAllowlist, _): "Requests for models that are not on the list are refused with 403."
        case (.anomalyMultiplier, _):
            "Accounts that spend more than \(value) times their mean of seven days are flagged for review."
        }
    }
}
