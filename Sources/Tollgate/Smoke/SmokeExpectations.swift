import Metering

/// What replies of a deployment must look like (CONTRACT §4, §5), apart from how they were got. Each returns what is
/// wrong, or nil.
enum SmokeExpectations {
    struct Package: Hashable {
        var code: String
        var cents: Int64
        var credits: Int64
        var bonus: Int64
    }

    /// Fixed integers, never a formula.
    static let packages = [
        Package(code: "starter", cents: 999, credits: 9_990, bonus: 0),
        Package(code: "professional", cents: 4_999, credits: 52_490, bonus: 2_500),
        Package(code: "enterprise", cents: 9_999, credits: 109_990, bonus: 10_000),
    ]

    /// What the starter package grants.
    static let starterMillicredits: Int64 = 9_990_000
    static let starterCents: Int64 = 999

    /// - Parameter isNew: the account has neither credits nor lines.
    static func summary(_ reply: JSONReading, isNew: Bool = false) -> String? {
        for name in ["balanceMillicredits", "heldMillicredits", "availableMillicredits"]
        where reply[name]?.integerText == nil {
            return "'\(name)' must be a whole number in a string"
        }
        for name in ["balanceCredits", "balanceUsd"] where reply[name]?.isNumber != true {
            return "'\(name)' must be a number"
        }
        for name in ["packages", "activeRates", "recentLedger", "recentUsage"] where reply[name]?.list == nil
        {
            return "'\(name)' must be a list"
        }
        guard isNew else { return nil }
        guard reply["balanceMillicredits"]?.text == "0" else {
            return "a new user must have a balance of \"0\", not \(Self.shown(reply["balanceMillicredits"]))"
        }
        for name in ["recentLedger", "recentUsage"] where reply[name]?.list?.isEmpty != true {
            return "'\(name)' of a new user must be empty"
        }
        return nil
    }

    static func packages(_ summary: JSONReading) -> String? {
        let sold = summary["packages"]?.list ?? []
        guard sold.count == Self.packages.count else {
            return
                "\(sold.count) packages are sold instead of \(Self.packages.count); look at the table `package`"
        }
        for expected in Self.packages {
            guard let found = sold.first(where: { $0["code"]?.text == expected.code }) else {
                return "there is no package '\(expected.code)'; run `tollgate seed`"
            }
            for (name, value) in [
                ("priceUsdCents", expected.cents), ("credits", expected.credits),
                ("bonusCredits", expected.bonus),
            ] where found[name]?.integer != value {
                return "'\(name)' of '\(expected.code)' must be \(value), not \(Self.shown(found[name])); "
                    + "look at the table `package`"
            }
        }
        return nil
    }

    static func rates(_ summary: JSONReading, models: [String]) -> String? {
        let rates = summary["activeRates"]?.list ?? []
        for model in models {
            guard let row = rates.first(where: { $0["model"]?.text == model }) else {
                return "the active rate card has no row for '\(model)'; look at `tollgate ratecard list`"
            }
            guard row["priceId"]?.text?.contains("@") == true else {
                return "'priceId' of '\(model)' must be card@version/model"
            }
            for name in ["inputCreditsPer1k", "outputCreditsPer1k"] {
                guard let text = row[name]?.text, let price = try? ExactDecimal(parsing: text),
                    price.coefficient > 0
                else {
                    return "'\(name)' of '\(model)' must be a positive decimal in a string, "
                        + "not \(Self.shown(row[name]))"
                }
            }
        }
        return nil
    }

    /// - Parameter credits: what the account has, in whole credits.
    static func insufficient(_ reply: JSONReading, credits: Int64, isOpenAI: Bool) -> String? {
        let redirect = reply["redirectTo"]?.text ?? ""
        let code = reply["error"]?["code"]?.text
        if isOpenAI, code != "insufficient_credits" {
            return "'error.code' must be insufficient_credits, not \(Self.shown(reply["error"]?["code"]))"
        }
        if !isOpenAI, reply["error"]?.text != "Insufficient credits" {
            return "'error' must be \"Insufficient credits\", not \(Self.shown(reply["error"]))"
        }
        guard reply["currentCredits"]?.integer == credits else {
            return "'currentCredits' must be \(credits), not \(Self.shown(reply["currentCredits"]))"
        }
        guard let required = reply["requiredCredits"], required.isMore(than: credits) else {
            return
                "'requiredCredits' must be a number above \(credits), not \(Self.shown(reply["requiredCredits"]))"
        }
        guard isOpenAI ? redirect.hasSuffix("/billing?tab=credits") : redirect == "/billing?tab=credits"
        else {
            return "'redirectTo' must lead to /billing?tab=credits, not \(Self.shown(reply["redirectTo"]))"
        }
        return nil
    }

    /// - Parameter value: of a field of a reply's head, by its name in lower case.
    static func securityHeaders(_ value: (String) -> String?) -> String? {
        guard value("x-content-type-options") == "nosniff" else {
            return "x-content-type-options must be nosniff"
        }
        guard let policy = value("content-security-policy"), policy.contains("frame-ancestors") else {
            return "there is no content-security-policy with frame-ancestors; a proxy in front may drop it"
        }
        guard value("cache-control")?.contains("no-store") == true else {
            return "cache-control must be no-store, or a cache shows one user's balance to another"
        }
        guard value("referrer-policy") != nil else { return "there is no referrer-policy" }
        return nil
    }

    /// - Parameter allowed: `access-control-allow-origin` of a reply to a foreign origin.
    static func foreignOrigin(_ allowed: String?, _ origin: String) -> String? {
        guard let allowed else { return nil }
        return allowed == "*" || allowed == origin
            ? "access-control-allow-origin is \(allowed); CORS_ORIGINS and the proxy in front must name exact origins"
            : nil
    }

    /// For a message: never more than a few characters of what somebody sent.
    static func shown(_ value: JSONReading?) -> String {
        switch value {
        case nil: "missing"
        case .null: "null"
        case .flag(let flag): "\(flag)"
        case .integer(let integer): "\(integer)"
        case .decimal(let decimal): "\(decimal)"
        case .text(let text): "\"\(text.prefix(60))\""
        case .list(let items): "a list of \(items.count)"
        case .object: "an object"
        }
    }
}

extension JSONReading {
    fileprivate func isMore(than bound: Int64) -> Bool {
        switch self {
        case .integer(let integer): integer > bound
        case .decimal(let decimal): decimal > .init(bound)
        case .null, .flag, .text, .list, .object: false
        }
    }
}
