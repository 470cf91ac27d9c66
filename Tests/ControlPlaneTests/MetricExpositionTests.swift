import Metering
import Testing

@testable import ControlPlane

@Suite struct MetricExpositionTests {
    @Test func seriesOfOneNameStandTogetherUnderOneHeader() {
        let text = MetricExposition.text([
            MetricSample("b_total", help: "B.", kind: .counter, labels: [.init("x", "1")], count: 1),
            MetricSample("a", help: "A.", kind: .gauge, count: 7),
            MetricSample("b_total", help: "B.", kind: .counter, labels: [.init("x", "q\"\\\n")], count: 2),
        ])
        #expect(
            text == """
                # HELP a A.
                # TYPE a gauge
                a 7
                # HELP b_total B.
                # TYPE b_total counter
                b_total{x="1"} 1
                b_total{x="q\\"\\\\\\n"} 2

                """)
    }
}
