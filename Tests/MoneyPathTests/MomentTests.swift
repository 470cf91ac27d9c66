import Testing

@testable import MoneyPath

@Suite struct MomentTests {
    @Test func spansAreWhatLiesBetweenMoments() {
        let start = Moment(nanoseconds: 5)
        #expect(start + .milliseconds(2) - start == .microseconds(2000))
        #expect(start < start + Span(nanoseconds: 1))
    }
}
