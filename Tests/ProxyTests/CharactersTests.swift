import Testing

@testable import Proxy

/// Lines of heads are read eight bytes at a time; each byte must count as it does when it is looked at alone.
@Suite struct CharactersTests {
    /// Where the first byte from `range` on is that `isPlain` does not hold for, a byte at a time.
    private func reference(_ bytes: [UInt8], _ range: Range<Int>, _ isPlain: (UInt8) -> Bool) -> Int {
        range.first { !isPlain(bytes[$0]) } ?? range.upperBound
    }

    /// RFC 9110 §5.6.2, spelled out.
    private func isToken(_ byte: UInt8) -> Bool {
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8.contains(byte)
    }

    /// What stands behind a range is of the next line, and must not be taken for its end or its fault.
    @Test(arguments: [0, 1, 7, 20]) func everyByteInEveryPlaceIsJudgedAsAlone(behind: Int) {
        for length in 0...18 {
            for place in 0..<max(length, 1) {
                for byte in UInt8.min ... .max {
                    var bytes = [UInt8](repeating: UInt8(ascii: "z"), count: 3 + length)
                    if length > 0 { bytes[3 + place] = byte }
                    bytes += [UInt8](repeating: 0x0d, count: behind)
                    let range = 3..<3 + length
                    bytes.withUnsafeBytes { raw in
                        #expect(
                            Characters.tokenEnd(raw, range.lowerBound, range.upperBound)
                                == self.reference(bytes, range, self.isToken),
                            "byte \(byte) at \(place) of \(length)")
                        #expect(
                            Characters.firstOutsideFieldValue(raw, range.lowerBound, range.upperBound)
                                == self.reference(bytes, range) { $0 == 9 || $0 >= 32 && $0 != 127 },
                            "byte \(byte) at \(place) of \(length)")
                    }
                }
            }
        }
    }

    /// Marks found eight at a time depend on their neighbours; these are all mixtures of the bytes next to each bound.
    @Test func neighboursDoNotChangeWhatAByteIs() {
        let seed = UInt64.random(in: 0...(.max >> 1))
        var random = SeededRandom(seed: seed)
        let edges: [UInt8] = [
            0, 1, 9, 0x0d, 0x1f, 0x20, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x39, 0x3a, 0x40, 0x41, 0x5a, 0x5b, 0x60,
            0x61, 0x7a, 0x7b, 0x7e, 0x7f, 0x80, 0x81, 0xa0, 0xad, 0xc1, 0xe1, 0xff,
        ]
        for round in 0..<20_000 {
            let bytes = (0..<24).map { _ in edges.randomElement(using: &random) ?? 0 }
            bytes.withUnsafeBytes { raw in
                for low in [0, 1, 5] {
                    #expect(
                        Characters.tokenEnd(raw, low, 21) == self.reference(bytes, low..<21, self.isToken),
                        "seed \(seed), round \(round)")
                    #expect(
                        Characters.firstOutsideFieldValue(raw, low, 21)
                            == self.reference(bytes, low..<21) { $0 == 9 || $0 >= 32 && $0 != 127 },
                        "seed \(seed), round \(round)")
                }
            }
        }
    }
}
