import Metering

extension Statement {
    /// Millicredits are strings, credits and dollars numbers; all are printed from integers.
    public var json: String {
        var object = JSONObjectText()
        object.add("number", text: self.number)
        object.add("userId", text: self.userID)
        object.add("month", text: self.month.description)
        object.add("isFinal", raw: self.isFinal ? "true" : "false")
        object.add("currency", text: "usd")
        object.add(amount: "opening", Int128(self.opening.value))
        object.add("purchases", array: self.purchases.map(Self.object))
        object.add("usage", array: self.usage.map(Self.object))
        object.add("usageByModel", array: self.usageByModel.map(Self.object))
        for section in MovementSection.allCases {
            object.add(section.rawValue, array: (self.movements[section] ?? []).map(Self.object))
        }
        object.add("totals", raw: self.totalsObject.text)
        object.add(amount: "closing", Int128(self.closing.value))
        return object.text
    }

    private var totalsObject: JSONObjectText {
        var object = JSONObjectText()
        for total in self.totals { object.add(amount: total.name, total.amount) }
        object.add("paidUsd", raw: ExactDecimal(coefficient: self.paidCents, scale: 2).description)
        return object
    }

    private static func object(_ row: Purchased) -> JSONObjectText {
        var object = JSONObjectText()
        object.add("day", text: row.day.description)
        object.add("package", text: row.package)
        object.add("paidUsdCents", number: row.paidCents)
        object.add("paidUsd", usdOfCents: row.paidCents)
        object.add(amount: "amount", Int128(row.credits.value))
        object.add("reference", text: row.reference)
        object.add("receiptUrl", text: row.receiptURL)
        return object
    }

    private static func object(_ row: Used) -> JSONObjectText {
        var total = UsageTotal(model: row.model)
        total.add(row)
        var object = JSONObjectText()
        object.add("day", text: row.day.description)
        self.add(total, to: &object)
        return object
    }

    private static func object(_ total: UsageTotal) -> JSONObjectText {
        var object = JSONObjectText()
        self.add(total, to: &object)
        return object
    }

    private static func add(_ total: UsageTotal, to object: inout JSONObjectText) {
        object.add("model", text: total.model)
        object.add("calls", number: total.calls)
        object.add("inputTokens", number: total.inputTokens)
        object.add("cachedInputTokens", number: total.cachedInputTokens)
        object.add("outputTokens", number: total.outputTokens)
        object.add(amount: "charged", total.charged)
    }

    private static func object(_ row: Movement) -> JSONObjectText {
        var object = JSONObjectText()
        object.add("day", text: row.day.description)
        object.add("text", text: row.text)
        object.add("reference", text: row.reference)
        object.add(amount: "amount", Int128(row.amount.value))
        object.add("cashUsd", usdOfCents: row.cashCents)
        return object
    }
}
