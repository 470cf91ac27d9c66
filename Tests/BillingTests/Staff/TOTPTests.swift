import Billing
import Testing

@Suite struct TOTPTests {
    /// RFC 6238, appendix B, SHA-1; its last six digits.
    @Test(arguments: [
        (Int64(59), "287082"), (1_111_111_109, "081804"), (1_111_111_111, "050471"),
        (1_234_567_890, "005924"), (2_000_000_000, "279037"), (20_000_000_000, "353130"),
    ])
    func codesAreThoseOfTheStandard(_ seconds: Int64, _ code: String) {
        let secret = Array("12345678901234567890".utf8)
        #expect(TOTP.code(secret, step: TOTP.step(atMilliseconds: seconds * 1000)) == code)
    }

    /// RFC 4648, section 10, without padding.
    @Test(arguments: [
        ("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"),
        ("foobar", "MZXW6YTBOI"),
    ])
    func base32IsThatOfTheStandard(_ plain: String, _ text: String) {
        #expect(Base32.text(Array(plain.utf8)) == text)
    }

    /// Clocks differ by up to a step; what was accepted, and what came before it, is not accepted again.
    @Test func aCodeIsAcceptedNextToItsStepAndOnce() {
        let secret = Array("12345678901234567890".utf8)
        let now: Int64 = 1_700_000_000_000
        let step = TOTP.step(atMilliseconds: now)
        for (offset, expected) in [(-2, nil), (-1, step - 1), (0, step), (1, step + 1), (2, nil)]
            as [(Int64, Int64?)]
        {
            let code = TOTP.code(secret, step: step + offset)
            #expect(TOTP.match(code, secret, atMilliseconds: now, after: 0) == expected)
        }
        let code = TOTP.code(secret, step: step)
        #expect(TOTP.match(code, secret, atMilliseconds: now, after: step) == nil)
        #expect(TOTP.match(code, secret, atMilliseconds: now, after: step + 1) == nil)
        #expect(TOTP.match("", secret, atMilliseconds: now, after: 0) == nil)
        #expect(TOTP.match(code + "0", secret, atMilliseconds: now, after: 0) == nil)
    }

    @Test func recoveryCodesAreReadAsPeopleTypeThem() {
        let code = RecoveryCode()
        let typed = " " + code.text.lowercased().split(separator: "-").joined() + " "
        #expect(RecoveryCode(typed: typed) == code)
        #expect(code.text.count == 19 && RecoveryCode() != code)
        #expect(RecoveryCode(typed: "123456") == nil && RecoveryCode(typed: "") == nil)
        #expect(code.digest(of: 1) != code.digest(of: 2))
    }

    @Test(
        arguments: [
            ("correct horse", nil), ("eleven char", .tooShort), ("ada@example.com", .containsEmail),
            ("my-ADA.lovelace-pw", .containsEmail), ("aaaabbbbccccdddd", .fewCharacters),
            (String(repeating: "abcdefgh", count: 200), .tooLong),
        ] as [(String, PasswordRule?)])
    func passwordsFollowTheRules(_ password: String, _ rule: PasswordRule?) throws {
        let name = password == "ada@example.com" ? "ada" : "ada.lovelace"
        let email = try #require(StaffEmail("\(name)@example.com"))
        #expect(PasswordRule.broken(by: password, of: email) == rule)
    }

    @Test func anAddressHasOneSpelling() {
        #expect(StaffEmail("Ada@Example.COM") == StaffEmail("ada@example.com"))
        for wrong in ["", "ada", "@x", "a@", "a@b@c", "a b@c", String(repeating: "a", count: 254) + "@b"] {
            #expect(StaffEmail(wrong) == nil, "\(wrong)")
        }
    }

    @Test func rolesContainEachOther() {
        #expect(StaffRole.viewer < .support && StaffRole.support < .finance && StaffRole.finance < .owner)
    }
}
