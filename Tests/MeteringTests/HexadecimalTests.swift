import Metering
import Testing

@Suite struct HexadecimalTests {
    /// Every byte has two digits, the high one first.
    @Test func everyByteIsReadBack() {
        let bytes = (UInt8.min...UInt8.max).map { $0 }
        let text = Hexadecimal.text(bytes)
        #expect(text.utf8.count == 512 && text == text.lowercased())
        let read = stride(from: 0, to: 512, by: 2).map { index in
            UInt8(String(Array(text)[index...index + 1]), radix: 16)
        }
        #expect(read == bytes)
        #expect(Hexadecimal.text([0, 0x0f, 0xa0]) == "000fa0" && Hexadecimal.text([]).isEmpty)
    }
}
