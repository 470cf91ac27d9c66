import Metering

/// Prometheus' text format 0.0.4.
///
/// Source: prometheus.io/docs/instrumenting/exposition_formats. HELP and TYPE once per name and before its
/// samples, all samples of a name together, each label set once, buckets in increasing order of `le`.
enum MetricExposition {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// Sorted by name and labels. Several sources may report one series, such as one per event loop: their
    /// values are added.
    static func text(_ samples: [MetricSample]) -> String {
        var text = ""
        for (name, series) in Dictionary(grouping: samples, by: \.name).sorted(by: { $0.key < $1.key }) {
            guard let first = series.first else { continue }
            // Sources that disagree on what a name is would make the scrape fail as a whole.
            let agreed = series.allSatisfy { $0.kind == first.kind }
            text += "# HELP \(name) \(self.escaped(first.help, quotes: false))\n"
            text += "# TYPE \(name) \(agreed ? first.kind.rawValue : "untyped")\n"
            for line in self.merged(series) {
                let labels = line.labels.map { "\($0.name)=\"\(self.escaped($0.value, quotes: true))\"" }
                let braces = labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}"
                text += "\(name)\(line.suffix)\(braces) \(line.value)\n"
            }
        }
        return text
    }

    /// One line for each suffix and label set, in order.
    private static func merged(_ series: [MetricSample]) -> [Line] {
        var lines: [Line.Identity: Line] = [:]
        for sample in series {
            let line = Line(sample)
            if let other = lines[line.identity] {
                // No metric comes near 128 bits; should one, a stale value is better than no scrape.
                lines[line.identity]?.value = self.sum(other.value, line.value) ?? other.value
            } else {
                lines[line.identity] = line
            }
        }
        return lines.values.sorted(by: Line.precedes)
    }

    /// Exact; nil when it does not fit 128 bits.
    private static func sum(_ one: ExactDecimal, _ other: ExactDecimal) -> ExactDecimal? {
        let scale = max(one.scale, other.scale)
        guard let left = one.scaledToInteger(powerOfTen: scale),
            let right = other.scaledToInteger(powerOfTen: scale)
        else { return nil }
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? nil : ExactDecimal(coefficient: sum, scale: scale)
    }

    /// By scalars: to a `Character` loop CR LF is one character, and no line feed.
    private static func escaped(_ text: String, quotes: Bool) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\"" where quotes: out += "\\\""
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}

extension MetricExposition {
    /// One sample, with what it is ordered and told apart by.
    private struct Line {
        struct Identity: Hashable {
            var suffix: String
            var labels: [MetricSample.Label]
        }

        var suffix: String
        /// By name, `le` last.
        var labels: [MetricSample.Label]
        var value: ExactDecimal

        init(_ sample: MetricSample) {
            self.suffix = sample.suffix
            self.labels = sample.labels.sorted { left, right in
                left.name == "le" ? false : right.name == "le" || left.name < right.name
            }
            self.value = sample.value
        }

        var identity: Identity { Identity(suffix: self.suffix, labels: self.labels) }

        static func precedes(_ left: Line, _ right: Line) -> Bool {
            let (leftOwn, rightOwn) = (left.ownLabels, right.ownLabels)
            if leftOwn != rightOwn { return leftOwn.lexicographicallyPrecedes(rightOwn) }
            if left.suffix != right.suffix { return left.rank < right.rank }
            return Self.isBelow(left.bound, right.bound)
        }

        /// All but `le`, in a form that can be compared.
        private var ownLabels: [String] {
            self.labels.filter { $0.name != "le" }.flatMap { [$0.name, $0.value] }
        }

        private var rank: Int { ["_bucket", "_sum", "_count"].firstIndex(of: self.suffix) ?? 0 }

        /// nil is `+Inf`.
        private var bound: ExactDecimal? {
            self.labels.last { $0.name == "le" }.flatMap { try? ExactDecimal(parsing: $0.value) }
        }

        private static func isBelow(_ left: ExactDecimal?, _ right: ExactDecimal?) -> Bool {
            guard let left else { return false }
            guard let right else { return true }
            let scale = max(left.scale, right.scale)
            guard let one = left.scaledToInteger(powerOfTen: scale),
                let other = right.scaledToInteger(powerOfTen: scale)
            else { return left.coefficient < right.coefficient }
            return one < other
        }
    }
}
