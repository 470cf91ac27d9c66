import Billing
import Metering

/// Amounts and times as pages show them: exact, with thousands set apart.
enum Figures {
    /// `9,990` or `3.72`, of credits.
    static func credits(_ amount: Millicredits) -> String { self.credits(amount.value) }

    static func credits(_ millicredits: Int64) -> String {
        self.decimal(ExactDecimal(coefficient: Int128(millicredits), scale: 3))
    }

    /// With its sign, for changes.
    static func change(_ amount: Millicredits) -> String {
        (amount > .zero ? "+" : "") + self.credits(amount)
    }

    /// `$9.99`, or as many digits as it takes: a millicredit is a millionth of a dollar.
    static func dollars(_ millicredits: Int64) -> String {
        self.dollars(ExactDecimal(coefficient: Int128(millicredits), scale: 6))
    }

    static func dollars(cents: Int64) -> String {
        self.dollars(ExactDecimal(coefficient: Int128(cents), scale: 2))
    }

    static func dollars(_ amount: ExactDecimal) -> String {
        var text = self.decimal(amount)
        let fraction = text.split(separator: ".").dropFirst().first?.utf8.count ?? 0
        if fraction == 0 { text += "." }
        text += String(repeating: "0", count: max(0, 2 - fraction))
        return text.hasPrefix("−") ? "−$" + text.dropFirst() : "$" + text
    }

    static func count(_ value: Int64) -> String {
        self.decimal(ExactDecimal(coefficient: Int128(value), scale: 0))
    }

    /// `7 of 8 (87.5 %)`, never above the truth: what fails once in a thousand times is not 100.0 %.
    static func share(_ part: Int64, of whole: Int64) -> String {
        guard whole > 0 else { return "none yet" }
        let perMille = Int128(part) * 1000 / Int128(whole)
        return "\(self.count(part)) of \(self.count(whole)) (\(perMille / 10).\(perMille % 10) %)"
    }

    static func decimal(_ value: ExactDecimal) -> String {
        let parts = value.description.split(separator: ".")
        var whole = parts[0]
        let isNegative = whole.first == "-"
        if isNegative { whole = whole.dropFirst() }
        var text = ""
        for (at, digit) in whole.enumerated() {
            if at > 0, (whole.count - at) % 3 == 0 { text += "," }
            text.append(digit)
        }
        // A minus sign, which a screen reader says, and not a hyphen, which it does not.
        return (isNegative ? "−" : "") + text + (parts.count > 1 ? "." + parts[1] : "")
    }

    /// Commas stand between thousands, or nowhere: half of the world writes `15,5` for fifteen and a half.
    ///
    /// - Returns: nil unless it is a decimal that comes to a whole number of 10^-`digits`, from 0 on.
    static func parse(_ text: String, digits: Int) -> Int64? {
        guard !text.contains(",") || text.wholeMatch(of: /[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?/) != nil,
            let decimal = try? ExactDecimal(parsing: text.filter { $0 != "," }), !decimal.isNegative,
            let scaled = decimal.scaledToInteger(powerOfTen: digits)
        else { return nil }
        return Int64(exactly: scaled)
    }
}

/// A moment, for `<time>`.
struct Moment: Sendable, Hashable {
    /// `2026-11-27T17:40:05Z`
    let machine: String
    /// `27 Nov 2026, 17:40 UTC`; where a line is short, it breaks behind the date only.
    let text: String

    /// - Parameter milliseconds: since 1970; of the ledger, and so within its years.
    init(_ milliseconds: Int64) {
        guard let day = UTCDay(millisecondsSinceEpoch: milliseconds) else {
            preconditionFailure("the ledger's times are of the years 1 to 9999")
        }
        let second = (milliseconds - Int64(day.daysSinceEpoch) * 86_400_000) / 1000
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let clock = "\(two(second / 3600)):\(two(second / 60 % 60))"
        self.machine = "\(day)T\(clock):\(two(second % 60))Z"
        self.text = "\(Self.text(day)), \(clock)\u{a0}UTC"
    }

    static func text(_ day: UTCDay) -> String {
        "\(day.dayOfMonth)\u{a0}\(day.month.name.prefix(3))\u{a0}\(day.month.year)"
    }
}
