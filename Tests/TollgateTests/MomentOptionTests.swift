import Testing

@testable import Tollgate

/// Times as operators write them.
@Suite struct MomentOptionTests {
    /// (text, seconds since 1970, with now = 1,000,000)
    @Test(
        arguments: [
            ("1970-01-02", 86_400), ("1970-01-02T00:00:01Z", 86_401), ("1970-01-02T01:00:01+01:00", 86_401),
            ("90m", 994_600), ("2h", 992_800), ("3d", 740_800), ("0h", 1_000_000),
            ("yesterday", nil), ("", nil), ("h", nil), ("-1h", nil), ("2w", nil), ("1.5h", nil),
            ("99999999d", nil),
            ("12d", nil), ("1970-13-01", nil), ("2026-11-12T08:30", nil),
        ] as [(String, Int64?)]) func aMomentIsADayAnInstantOrAgo(_ text: String, _ seconds: Int64?)
    {
        #expect(MomentOption(text, now: 1_000_000)?.seconds == seconds)
    }
}
