import Testing

@testable import LoadBench

/// A plot that is drawn wrong lies better than a number.
@Suite struct ReportPlotTests {
    private typealias Fixtures = ReportFixtures

    @Test(arguments: [
        ([1.0, 99], PlotScale.Kind.linear), ([1.0, 101], .logarithmic), ([0, 5.0, 400], .linear),
        ([], .linear),
    ])
    func anAxisIsLogarithmicWhereValuesAreMoreThanAHundredfoldApart(
        _ values: [Double], _ kind: PlotScale.Kind
    ) {
        #expect(PlotScale(spanning: values).kind == kind)
    }

    @Test(
        arguments: [[], [0], [7], [7, 7], [3, 9], [0.001, 4000], [1e9, 1e9], [.nan, .infinity]] as [[Double]])
    func marksAreAscendingAndHoldAllValues(_ values: [Double]) throws {
        for scale in [PlotScale(spanning: values), PlotScale(spanning: values, isTight: true)] {
            let marks = scale.marks
            #expect((2...12).contains(marks.count), "\(marks)")
            #expect(zip(marks, marks.dropFirst()).allSatisfy { $0 < $1 })
            let (first, last) = (try #require(marks.first), try #require(marks.last))
            #expect(abs(scale.place(first)) < 1e-9 && abs(scale.place(last) - 1) < 1e-9)
            for value in values where value.isFinite && value > 0 {
                #expect(scale.low <= value * (1 + 1e-9) && value <= scale.high * (1 + 1e-9), "\(value)")
            }
        }
    }

    @Test func barsBeginAtZero() {
        #expect(PlotScale(spanning: [80, 90]).low == 0)
        #expect(PlotScale(spanning: [80, 90], isTight: true).low == 80)
    }

    @Test func sharesAreSpreadByTheirNines() {
        #expect(Nines.place(Nines.of(0.5)) == 0)
        #expect(abs(Nines.of(0.9) - 1) < 1e-9 && abs(Nines.of(0.999) - 3) < 1e-9)
        #expect(Nines.of(1).isFinite)
    }

    @Test func aCurveIsCutAtTheEdgesOfThePlot() throws {
        var quantiles = Fixtures.quantiles(p50: 1000, p99: 2000, count: 10_000_000)
        quantiles.curve = [
            .init(share: 0, value: 0), .init(share: 0.9, value: 1000), .init(share: 0.99999, value: 5000),
        ]
        let curve = try #require(LatencyCurve(quantiles))
        #expect(curve.points.count == 3)
        #expect(abs((curve.milliseconds(at: 0.9999) ?? 0) - 4) < 1e-6, "three quarters of the way, in nines")
        #expect(abs((curve.milliseconds(at: 0.5) ?? 0) - 0.30103) < 1e-4)
    }

    /// Of 100 exchanges the slowest is all that is known of the last percent.
    @Test func aCurveEndsWhereObservationsEnd() throws {
        var quantiles = Fixtures.quantiles(p50: 1000, p99: 2000, count: 100)
        quantiles.curve += [.init(share: 1, value: 9000)]
        let curve = try #require(LatencyCurve(quantiles))
        #expect(curve.milliseconds(at: 0.99) == 2 && curve.milliseconds(at: 0.999) == nil)
        #expect(curve.points.map(\.milliseconds).max() == 2, "no cliff at the end")
    }

    @Test func aCurveOfNothingIsNone() {
        #expect(LatencyCurve(.none) == nil)
        #expect(LatencyCurve(medianOf: [RunResult(lane: "a", round: 1, seconds: 1)], \.total) == nil)
    }

    @Test func theCurveIsThatOfTheRoundInTheMiddle() throws {
        let runs = [4000, 1000, 3000, 2000].enumerated().map {
            Fixtures.run("a", $0.offset + 1, p50: $0.element, p99: $0.element * 2)
        }
        let curve = try #require(LatencyCurve(medianOf: runs, \.total))
        #expect(curve.milliseconds(at: 0.5) == 2)
    }

    @Test func lanesDifferInMoreThanTheirColour() {
        let shapes = (0..<40).map { index in
            let mark = LaneMark(lane: "a", index: index)
            return mark.shape(x: 0, y: 0, title: "").source + mark.line([(0, 0)]).source
        }
        #expect(Set(shapes).count == 40)
    }
}
