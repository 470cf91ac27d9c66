import Testing

@testable import Metering

/// What of a reply is kept does not depend on how it is cut, at any length around the room that there is.
@Suite struct KeptTextLengthTests {
    private static let lengths = [31, 32, 33, 63, 64, 65, 127, 128, 129, 200]

    private func scan(_ document: String, cut: Int?) -> JSONUsageScanner {
        let bytes = Array(document.utf8)
        var scanner = JSONUsageScanner(shape: .responses)
        let cuts = cut.map { [0, $0, bytes.count] } ?? Array(0...bytes.count)
        for (from, to) in zip(cuts, cuts.dropFirst()) {
            bytes[from..<to].withUnsafeBytes { scanner.feed($0) }
        }
        scanner.finish()
        return scanner
    }

    @Test(arguments: lengths) func everyCutIsTheSame(length: Int) {
        let text = String(repeating: "x", count: length)
        for key in ["id", "model", "service_tier", "status", "type"] {
            let document = #"{"object":"response","\#(key)":"\#(text)","output":[]}"#
            let whole = self.scan(document, cut: document.utf8.count)
            for cut in [nil] + (1..<document.utf8.count).map(Optional.some) {
                let scanner = self.scan(document, cut: cut)
                #expect(
                    scanner.identifier == whole.identifier && scanner.model == whole.model
                        && scanner.serviceTier == whole.serviceTier
                        && scanner.isTerminal == whole.isTerminal,
                    "\(key), cut at \(cut as Any)")
            }
        }
    }

    /// A tier that says something, however long, has no price of its own: taking it for silence would charge the default one.
    @Test(arguments: lengths) func aTierIsNeverSilentBecauseItIsLong(length: Int) throws {
        let text = String(repeating: "x", count: length)
        for escape in ["", #"\u0078"#] {
            let scanner = self.scan(#"{"service_tier":"\#(text)\#(escape)"}"#, cut: nil)
            let tier = try #require(scanner.serviceTier)
            #expect(ServiceTier(apiLiteral: tier) == nil)
        }
        #expect(self.scan(#"{"service_tier":null}"#, cut: nil).serviceTier == nil)
        #expect(self.scan("{}", cut: nil).serviceTier == nil)
    }

    /// A line that is indented by any number of blanks.
    @Test func indentsOfAllLengthsAreSkipped() {
        for blanks in 0...35 {
            let indent = "\n" + String(repeating: " ", count: blanks)
            let document =
                "{\(indent)\"model\":\(indent)\"m\",\(indent)\"usage\":{\(indent)\"input_tokens\": 12,\(indent)"
                + "\"output_tokens\": 345\(indent)}\(indent)}\(indent)"
            for cut in 1..<document.utf8.count {
                let scanner = self.scan(document, cut: cut)
                #expect(
                    scanner.report?.inputTokens == 12 && scanner.report?.outputTokens == 345
                        && scanner.model == "m" && !scanner.malformedUsage,
                    "\(blanks) blanks, cut at \(cut)")
            }
        }
    }
}
