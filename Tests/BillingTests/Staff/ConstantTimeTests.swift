import Billing
import Testing

@Suite struct ConstantTimeTests {
    /// Every other byte at every place: no two differences may cancel each other out.
    @Test func oneByteThatDiffersIsADifference() {
        let secret = Array("3f7a0c".utf8)
        #expect(ConstantTime.areEqual(secret, secret))
        for place in secret.indices {
            for byte in UInt8.min...UInt8.max where byte != secret[place] {
                var given = secret
                given[place] = byte
                #expect(!ConstantTime.areEqual(given, secret))
            }
        }
    }

    @Test func aPartIsNotTheWhole() {
        #expect(!ConstantTime.areEqual(Array("3f".utf8), Array("3f7a".utf8)))
        #expect(!ConstantTime.areEqual([UInt8](), Array("3".utf8)))
    }
}
