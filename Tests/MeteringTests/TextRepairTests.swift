import Testing

@testable import Metering

@Suite struct TextRepairTests {
    /// What Python's `bytes.decode("utf-8", errors="replace")` gives.
    @Test(
        arguments: [
            ([0x61, 0x80, 0x62], "a?b"), ([0xc0, 0x80], "??"), ([0xc2], "?"), ([0xc2, 0x41], "?A"),
            ([0xe0, 0x80, 0x80], "???"), ([0xe0, 0xa0], "?"), ([0xe4, 0xb8, 0x41], "?A"),
            ([0xed, 0xa0, 0x80], "???"),
            ([0xf0, 0x80, 0x80, 0x80], "????"), ([0xf0, 0x90, 0x80, 0x41], "?A"), ([0xf0, 0x9f, 0x98], "?"),
            ([0xf4, 0x90, 0x80, 0x80], "????"), ([0xf5, 0xff, 0xfe], "???"),
            ([0xe4, 0xe4, 0xb8, 0xad], "?中"),
            ([0xf1, 0x80, 0x80, 0xf1, 0x80, 0xe4, 0xb8, 0xad], "??中"),
        ] as [([UInt8], String)])
    func wrongBytesAreReplacedByMaximalParts(bytes: [UInt8], expected: String) {
        let repaired = bytes.withUnsafeBufferPointer { TextRepair.repaired($0) }
        #expect(String(decoding: repaired, as: UTF8.self) == expected.replacing("?", with: "\u{fffd}"))
    }

    /// The standard library replaces in the same way.
    @Test func randomBytesAreReadAsByTheStandardLibrary() {
        var random = SeededRandom(4)
        let bytes: [UInt8] = [
            0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xe0, 0xe4, 0xed, 0xef, 0xf0, 0xf1,
            0xf4, 0xf5, 0xff,
        ]
        for _ in 0..<3_000 {
            let text = (0..<Int.random(in: 0..<24, using: &random)).map { _ in
                bytes.randomElement(using: &random) ?? 0
            }
            let repaired = text.withUnsafeBufferPointer { TextRepair.repaired($0) }
            #expect(repaired == Array(String(decoding: text, as: UTF8.self).utf8), "\(text)")
        }
    }
}
