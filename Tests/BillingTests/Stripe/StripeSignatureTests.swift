import Testing

@testable import Billing

/// Who may tell us that money came.
@Suite struct StripeSignatureTests {
    private static let now: Int64 = 1_700_000_000
    private static let secret = "whsec_0123456789abcdef"
    private static let rotated = "whsec_rotated_fedcba9876543210"
    private static let body = #"{"id":"evt_1","object":"event"}"#
    // Made with Python's hmac over "1700000000." + body.
    private static let code = "72e471be2e284f3e2fd818c4c1b8a5914f7d3e997665d037910c446c5925043b"
    private static let rotatedCode = "46b264009e557153bb884151828af47e2d7847da3d1c447c8f461cef25d3c278"

    private func verify(
        _ header: String, _ body: [UInt8] = Array(Self.body.utf8), secrets: [String] = [Self.secret],
        now: Int64 = Self.now
    ) -> StripeSignature.Verdict {
        body.withUnsafeBytes {
            StripeSignature.verify(
                header: header, body: $0, secrets: secrets.compactMap { StripeSigningSecret($0) }, now: now)
        }
    }

    @Test(arguments: [
        (Self.body, Self.code), ("", "0e1fd9afd303fb6f213cc511093ec9783e6286d777cfee89f917aebd54d9a963"),
        (
            "{\"name\":\"Zoë 🦉\"}\n", "588a9ec6a871f82fecb2988c81b5d9fe4c0694ebe8ca1cf86370c43b6c4635c7"
        ),
    ])
    func whatStripeSignedIsValid(_ body: String, _ code: String) throws {
        let header = "t=1700000000,v1=\(code)"
        #expect(self.verify(header, Array(body.utf8)) == .valid(at: Self.now))
        let secret = try #require(StripeSigningSecret(Self.secret))
        #expect(
            Array(body.utf8).withUnsafeBytes {
                StripeSignature.header(body: $0, secret: secret, at: Self.now)
            } == header)
    }

    /// While rotating, Stripe signs with two secrets, or we know two.
    @Test func anyOfSeveralSecretsAndSignaturesWillDo() {
        let (old, new) = ("v1=\(Self.code)", "v1=\(Self.rotatedCode)")
        for header in [
            "t=1700000000,\(old),\(new)", "t=1700000000,\(new),\(old)", "\(new),t=1700000000,v1=ab",
        ] {
            #expect(self.verify(header, secrets: [Self.rotated]) == .valid(at: Self.now), "\(header)")
        }
        #expect(
            self.verify("t=1700000000,\(old)", secrets: [Self.rotated, Self.secret]) == .valid(at: Self.now))
        #expect(self.verify("t=1700000000,\(old)", secrets: [Self.rotated]) == .noMatch)
        #expect(self.verify("t=1700000000,\(old)", secrets: []) == .noMatch)
    }

    /// A v0 is made with a test secret that everybody may know; a downgrade to it proves nothing.
    @Test func otherSchemesProveNothing() {
        #expect(self.verify("t=1700000000,v0=\(Self.code)") == .noMatch)
        #expect(self.verify("t=1700000000,v2=x,v0=y,v1=\(Self.code)") == .valid(at: Self.now))
        #expect(self.verify("t=1700000000") == .noMatch)
    }

    @Test(arguments: [
        "", "t=", "t=x,v1=\(Self.code)", "v1=\(Self.code)", "t=-1,v1=\(Self.code)", "t=+1700000000",
        "t=1700000000,t=1700000000,v1=\(Self.code)", "t=1700000000,v1", "t=9999999999999999,v1=\(Self.code)",
        "t= 1700000000,v1=\(Self.code)", "t=1700000000;v1=\(Self.code)",
    ])
    func aHeaderThatIsNoneIsMalformed(_ header: String) {
        #expect(self.verify(header) == .malformedHeader)
    }

    /// Else one request costs as much as its sender likes.
    @Test func aHeaderIsOnlySoLong() {
        let many = [String](repeating: "v1=\(Self.code)", count: 17).joined(separator: ",")
        #expect(self.verify("t=1700000000,\(many)") == .malformedHeader)
        let long = "t=1700000000,v1=\(Self.code),v0=" + String(repeating: "a", count: 4096)
        #expect(self.verify(long) == .malformedHeader)
    }

    @Test(arguments: [-300, -299, 0, 300] as [Int64])
    func fiveMinutesEitherWayAreTimely(_ late: Int64) {
        #expect(self.verify("t=1700000000,v1=\(Self.code)", now: Self.now + late) == .valid(at: Self.now))
    }

    @Test(arguments: [-301, 301, Int64.max - Self.now, Int64.min / 2] as [Int64])
    func outsideOfThemItIsToBeFetched(_ late: Int64) {
        #expect(
            self.verify("t=1700000000,v1=\(Self.code)", now: Self.now + late) == .badlyTimed(at: Self.now))
    }

    /// Only who could have signed is told that the time was the trouble.
    @Test func aBadTimeDoesNotExcuseABadSignature() {
        #expect(self.verify("t=1700000000,v1=\(Self.rotatedCode)", now: 0) == .noMatch)
    }

    @Test func oneFlippedBitNeverVerifies() {
        let header = Array("t=1700000000,v1=\(Self.code)".utf8)
        let body = Array(Self.body.utf8)
        for bit in 0..<(8 * body.count) {
            var flipped = body
            flipped[bit / 8] ^= 1 << (bit % 8)
            #expect(
                self.verify(String(decoding: header, as: UTF8.self), flipped) == .noMatch, "body bit \(bit)")
        }
        for bit in 0..<(8 * header.count) {
            var flipped = header
            flipped[bit / 8] ^= 1 << (bit % 8)
            let verdict = self.verify(String(decoding: flipped, as: UTF8.self), body)
            #expect(verdict == .noMatch || verdict == .malformedHeader, "header bit \(bit)")
        }
    }

    @Test func bytesMoreOrLessNeverVerify() {
        let body = Array(Self.body.utf8)
        let header = "t=1700000000,v1=\(Self.code)"
        #expect(self.verify(header, body + [0]) == .noMatch)
        #expect(self.verify(header, [0x20] + body) == .noMatch)
        #expect(self.verify(header, Array(body.dropLast())) == .noMatch)
        #expect(self.verify("t=1700000000,v1=\(Self.code.dropLast(2))") == .noMatch)
        #expect(self.verify("t=1700000000,v1=\(Self.code)00") == .noMatch)
        #expect(self.verify("t=1700000000,v1=\(Self.code.uppercased())") == .noMatch)
        // The signature is over the text of the time, not over its number.
        #expect(self.verify("t=01700000000,v1=\(Self.code)") == .noMatch)
    }

    @Test func aSecretIsNeverPrintedAndNeverShort() throws {
        let secret = try #require(StripeSigningSecret(Self.secret))
        var dumped = ""
        dump([secret], to: &dumped)
        for text in ["\(secret)", String(reflecting: [secret]), String(describing: Optional(secret)), dumped]
        {
            #expect(text.contains("0123456789") == false && text.contains("119, 104") == false, "\(text)")
        }
        for text in [
            "", "whsec_short", "whsec_with a blank 1", "whsec_one,whsec_two", "whsec_ümlaut_long_enough",
        ] {
            #expect(StripeSigningSecret(text) == nil, "\(text)")
        }
    }
}
