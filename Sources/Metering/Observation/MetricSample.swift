/// One metric in Prometheus terms, as a component hands it to the exposition.
public struct MetricSample: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable { case counter, gauge, histogram }
    public var name: String
    public var help: String
    public var kind: Kind
    /// For a histogram the suffixed series name part (`_bucket`, `_sum`, `_count`); empty otherwise.
    public var suffix: String
    public var labels: [Label]
    /// Exact, as everything in this module; times are seconds with scale 9.
    public var value: ExactDecimal

    public struct Label: Sendable, Hashable {
        public var name: String
        public var value: String
        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public init(
        _ name: String, help: String, kind: Kind, suffix: String = "", labels: [Label] = [],
        value: ExactDecimal
    ) {
        self.name = name
        self.help = help
        self.kind = kind
        self.suffix = suffix
        self.labels = labels
        self.value = value
    }
}

/// A component that can be asked for its metrics. Called from any thread, at scrape time.
public protocol MetricSource: Sendable {
    func samples() -> [MetricSample]
}

extension MetricSample {
    public init(_ name: String, help: String, kind: Kind, labels: [Label] = [], count: Int) {
        self.init(
            name, help: help, kind: kind, labels: labels,
            value: ExactDecimal(coefficient: Int128(count), scale: 0))
    }
}
