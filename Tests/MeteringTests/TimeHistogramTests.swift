import Metering
import Testing

@Suite struct TimeHistogramTests {
    /// A bound belongs to its bucket ("le"), buckets are cumulative, and no time is lost to rounding.
    @Test func timesFallIntoEveryBucketThatBoundsThem() {
        var histogram = TimeHistogram(boundsMicroseconds: [1, 1000, 300_000_000])
        for nanoseconds: Int64 in [-5, 1_000, 1_001, 1_000_000, 1_000_001] {
            histogram.add(nanoseconds: nanoseconds)
        }
        let lines = histogram.samples("t_seconds", help: "T.", labels: [.init("a", "b")]).map { sample in
            let labels = sample.labels.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
            return "\(sample.suffix) \(labels) \(sample.value)"
        }
        #expect(
            lines == [
                "_bucket a=b,le=0.000001 2", "_bucket a=b,le=0.001 4", "_bucket a=b,le=300 5",
                "_bucket a=b,le=+Inf 5",
                "_sum a=b 0.002002002", "_count a=b 5",
            ])
    }
}
