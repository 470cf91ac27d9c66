import Billing
import Hummingbird
import Metering

/// Auto-recharge, and the session itself.
extension CreditsPages {
    struct SettingsContent {
        let action: String
        let csrf: String
        /// nil: auto-recharge is offered.
        let whyNot: String?
        let isOn: Bool
        let state: String?
        let stateTone: String
        let lastAttempt: String?
        let threshold: String
        let limit: String
        let packages: [Choice]
        let thresholdProblem: String?
        let packageProblem: String?
        let limitProblem: String?
        let userID: String
        let sessionEnds: Moment
    }

    /// What a person typed, with what is wrong with it.
    private struct Wish {
        var threshold: String?
        var package: String?
        var limit: String?
        var problems: [String: String] = [:]
    }

    func settingsTab(_ view: View) async throws -> Page { try await self.settings(view, Wish()) }

    private func settings(_ view: View, _ wish: Wish) async throws -> Page {
        let packages = try await self.read(view) { try await self.dependencies.billing.packages() }
        var (status, whyNot): (RechargeStatus?, String?)
        do throws(RechargeRefusal) {
            status = try await self.dependencies.recharges.recharge(of: view.account.account)
        } catch {
            guard error == .notEnabled else { throw APIError.unavailable }
            whyNot = "Auto-recharge is not offered here."
        }
        let settings = status?.machine.settings
        let chosen = wish.package ?? settings?.packageCode
        let text = status.map(Self.state)
        return Page(
            frame: self.frame(.settings, view), template: "settings",
            content: SettingsContent(
                action: "\(self.site.base)/billing/auto-recharge", csrf: view.visit.token.csrf,
                whyNot: whyNot,
                isOn: settings != nil, state: text?.text, stateTone: text?.tone ?? "info",
                lastAttempt: status?.lastAttempt.map(Self.text),
                threshold: wish.threshold ?? settings.map { Self.plain($0.threshold.value, digits: 3) }
                    ?? "1000",
                limit: wish.limit ?? settings.map { Self.plain($0.dailyLimitCents, digits: 2) } ?? "50",
                packages: packages.map {
                    Choice(
                        value: $0.code,
                        name:
                            "\($0.name): \(Figures.count($0.credits)) credits for \(Figures.dollars(cents: $0.priceUSDCents))",
                        isChosen: $0.code == chosen)
                }, thresholdProblem: wish.problems["threshold"], packageProblem: wish.problems["package"],
                limitProblem: wish.problems["limit"], userID: view.account.userID,
                sessionEnds: Moment(view.visit.session.expiresAt)))
    }

    /// As it is typed.
    private static func plain(_ value: Int64, digits: Int) -> String {
        ExactDecimal(coefficient: Int128(value), scale: digits).description
    }

    private static func state(_ status: RechargeStatus) -> (text: String, tone: String) {
        switch status.machine.state {
        case .asking, .processing: return ("Your card is being charged.", "info")
        case .stopped(let reason):
            return ("Stopped: \(Self.text(reason)) Save the settings to turn it on again.", "bad")
        case .pausing, .idle: break
        }
        guard status.machine.settings != nil else { return ("Currently off.", "info") }
        if status.isPackageChanged {
            return ("Stopped: the package or its price has changed. Save the settings to agree to it.", "bad")
        }
        if case .pausing = status.machine.state {
            return ("Paused after a failed charge; it is tried again.", "warning")
        }
        return ("Currently on.", "good")
    }

    private static func text(_ reason: RechargeStop) -> String {
        switch reason {
        case .declined: "your bank declined the card several times."
        case .authenticationRequired: "your bank wants you to confirm a payment; buy a package once by hand."
        case .noPaymentMethod: "there is no saved card; buy a package once by hand, and it is saved."
        case .outcomeUnknown: "Stripe did not say what became of a charge."
        case .reversed: "a payment was refunded or disputed."
        case .restored: "our records were restored, and must be compared with Stripe's first."
        }
    }

    private static func text(_ attempt: RechargeStatus.Attempt) -> String {
        let what =
            switch attempt.outcome {
            case .underWay: "under way"
            case .paid: "paid"
            case .failed: "failed, nothing was charged"
            case .unknown: "not known"
            }
        return
            "Last charge: \(Figures.dollars(cents: attempt.cents)) on \(Moment(attempt.startedAt).text), \(what)."
    }

    // MARK: Changing it

    func changeRecharge(_ view: View, _ form: PageForm) async throws -> Response {
        if form["action"] == "off" {
            do throws(RechargeRefusal) {
                _ = try await self.dependencies.recharges.turnOffRecharge(of: view.account.account)
            } catch {
                throw RechargeRoutes.error(error)
            }
            return .seeOther(self.url(.settings, [("notice", "recharge-off")]))
        }
        guard !view.account.suspended else { throw APIError.accountSuspended }
        var wish = Wish(threshold: form["threshold"], package: form["package"], limit: form["limit"])
        let threshold = wish.threshold.flatMap { Figures.parse($0, digits: 3) }.flatMap {
            Millicredits(exactly: $0)
        }
        if threshold == nil {
            wish.problems["threshold"] = "Must be a number of credits, with at most three decimals."
        }
        let limit = wish.limit.flatMap { Figures.parse($0, digits: 2) }.flatMap { $0 > 0 ? $0 : nil }
        if limit == nil { wish.problems["limit"] = "Must be an amount in dollars such as 50 or 49.99." }
        if wish.package == nil { wish.problems["package"] = "Choose a package." }
        if let threshold, let limit, let package = wish.package {
            do throws(RechargeRefusal) {
                _ = try await self.dependencies.recharges.turnOnRecharge(
                    of: view.account.account, threshold: threshold, packageCode: package,
                    dailyLimitCents: limit)
                return .seeOther(self.url(.settings, [("notice", "recharge-on")]))
            } catch {
                guard let (field, text) = Self.problem(error) else { throw RechargeRoutes.error(error) }
                wish.problems[field] = text
            }
        }
        return try await self.settings(view, wish).response(self.site, .unprocessableContent)
    }

    private static func problem(_ refusal: RechargeRefusal) -> (field: String, text: String)? {
        switch refusal {
        case .notEnabled, .ledgerUnavailable: nil
        case .unknownPackage: ("package", "There is no such package.")
        case .settings(.thresholdNegative): ("threshold", "Must not be negative.")
        case .settings(.limitBelowPrice):
            ("limit", "Is below the price of the package, so nothing would ever be charged.")
        case .settings(.limitAboveMaximum(let cents)):
            ("limit", "Must not be above \(Figures.dollars(cents: cents)), the maximum of this service.")
        case .settings(.thresholdNotBelowCredits):
            (
                "threshold",
                "Must be less than the credits of the package, or one charge would lead to another."
            )
        case .settings(.priceNotPositive): ("package", "This package cannot be charged to a card.")
        }
    }
}
