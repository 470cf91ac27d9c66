import Metering
import Testing

/// W3C Trace Context: what is malformed counts as absent, and nothing of it goes on.
@Suite struct TraceContextTests {
    private static let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    @Test func aTraceIsReadAndGoesOnWithAnotherParent() throws {
        let trace = try #require(TraceContext(traceparent: Self.good))
        #expect(trace.traceID == "0af7651916cd43dd8448eb211c80319c" && trace.parent == 0xb7ad_6b71_6920_3331)
        #expect(trace.isSampled)
        #expect(trace.traceparent(from: 7) == "00-0af7651916cd43dd8448eb211c80319c-0000000000000007-01")
        let unsampled = try #require(TraceContext(traceparent: Self.good.dropLast(2) + "02"))
        #expect(!unsampled.isSampled && unsampled.traceparent(from: 1).hasSuffix("-00"))
    }

    /// All behind the version of `good`.
    private static let rest = "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    private static let noTrace = "00-00000000000000000000000000000000-b7ad6b7169203331-01"
    private static let noParent = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"

    private static let cases: [(String, Bool)] = [
        ("01\(rest)", true), ("01\(rest)-more", true), ("01\(rest)more", false), ("00\(rest)-more", false),
        ("ff\(rest)", false), ("0\(rest)", false), ("", false), ("00\(rest.uppercased())", false),
        (noTrace, false), (noParent, false),
        ("00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
        ("00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01", false),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x", false),
        (" 0\(rest)", false),
    ]

    /// A version of the future may add parts, this one may not.
    @Test(arguments: cases)
    func onlyWhatIsWellFormedIsTaken(_ text: String, _ isTaken: Bool) {
        #expect((TraceContext(traceparent: text) != nil) == isTaken)
    }

    private static let states: [(String, Bool)] = [
        ("a=b", true), ("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", true), ("a@b=c", true), ("", false),
        ("a", false), ("a=", false), ("A=b", false), ("a=b\r\nX: y", false), ("a=b,,", true),
        ("a=b=c", false), (String(repeating: "a=b,", count: 33), false),
        ("a=\(String(repeating: "x", count: 511))", false),
    ]

    @Test(arguments: states)
    func statesAreBoundedAndPrintable(_ text: String, _ isTaken: Bool) {
        #expect(TraceContext.isTraceState(text) == isTaken)
    }
}
