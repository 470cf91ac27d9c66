import Metering

extension RateCardDiff {
    /// One change as a person judges it.
    public struct Reviewed: Sendable, Hashable {
        /// `(card)` for what belongs to the whole card.
        public var model: String
        public var change: Change
        /// Such as `+25.0 %`; nil where nothing was, or it is no number.
        public var percent: String?
        /// Of the rate, before and after; nil where there was none.
        public var marginBefore: String?
        public var marginAfter: String?

        /// `50.0 % → 33.3 %`; nil: the change is not about a rate.
        var margin: String? {
            guard self.marginBefore != nil || self.marginAfter != nil else { return nil }
            return "\(self.marginBefore ?? "-") → \(self.marginAfter ?? "-")"
        }
    }

    /// All changes, in their order. A margin stands with its price, and with its cost when only that changes.
    public var review: [Reviewed] {
        let before = Self.byPlace(self.marginsBefore)
        let after = Self.byPlace(self.margins)
        var pricesChanged: Set<[String]> = []
        for (model, change) in self.changes {
            if case .changed(let path, _, _) = change { pricesChanged.insert([model, path]) }
        }
        return self.changes.map { model, change in
            var row = Reviewed(model: model, change: change)
            guard case .changed(let path, let from, let to) = change else { return row }
            row.percent = Self.percent(from: from, to: to)
            var place = [model, path]
            if path.hasPrefix("cost.") {
                place[1].removeFirst("cost.".count)
                guard !pricesChanged.contains(place) else { return row }
            }
            (row.marginBefore, row.marginAfter) = (before[place], after[place])
            return row
        }
    }

    private static func byPlace(_ margins: [RateCardMargin]) -> [[String]: String] {
        Dictionary(margins.map { ([$0.model, $0.path], $0.text) }) { first, _ in first }
    }

    /// In tenths, rounded half away from zero; nil: one of them is no number, or the first is 0.
    static func percent(from: String, to: String) -> String? {
        guard let from = try? ExactDecimal(parsing: from), let to = try? ExactDecimal(parsing: to) else {
            return nil
        }
        let scale = max(from.scale, to.scale)
        guard let old = from.scaledToInteger(powerOfTen: scale), old > 0,
            let new = to.scaledToInteger(powerOfTen: scale)
        else { return nil }
        let (difference, _) = new.subtractingReportingOverflow(old)
        let (thousandfold, overflow) = Int128(clamping: difference.magnitude).multipliedReportingOverflow(
            by: 2000)
        guard !overflow else { return nil }
        let tenths = (thousandfold + old) / (2 * old)
        return "\(difference < 0 ? "-" : "+")\(tenths / 10).\(tenths % 10) %"
    }
}
