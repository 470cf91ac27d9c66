import Testing

@testable import Metering

/// What the database sees of a key, a request and its reply.
@Suite struct ClaimSecretsTests {
    static let peppers = [
        Array("the first pepper of 32 bytes or so".utf8), Array("and the pepper before that one, too".utf8),
    ]
    static let reply = KeptReply(
        status: 200, fields: Array("content-type: text/plain\r\n".utf8),
        body: Array("a confidential answer".utf8))
    static let hold = HoldID(millisecondsSinceEpoch: 1, randomA: 2, randomB: 3)

    static func secrets(
        account: AccountID = 1, key: String = "key-1", method: String = "POST", path: String = "/v1/x",
        type: String? = "application/json", body: [UInt8] = Array("{}".utf8), peppers: [[UInt8]] = peppers
    ) -> [ClaimSecrets] {
        let type = type.map { Array($0.utf8) }
        return Array(key.utf8).withUnsafeBytes { key in
            body.withUnsafeBytes { body in
                (type ?? []).withUnsafeBytes { bytes in
                    KeyHasher(peppers: peppers).secrets(
                        of: KeyedRequest(
                            account: account, key: key, method: method, path: path,
                            contentType: type == nil ? nil : bytes, body: body))
                }
            }
        }
    }

    @Test func equalRequestsAreEqualAndAllElseDiffers() {
        let first = Self.secrets()[0]
        #expect(first.digest.count == 32 && first.fingerprint.count == 32)
        #expect(Self.secrets()[0].digest == first.digest)
        #expect(Self.secrets()[0].fingerprint == first.fingerprint)
        for other in [Self.secrets(account: 2)[0], Self.secrets(key: "key-2")[0], Self.secrets()[1]] {
            #expect(other.digest != first.digest)
            #expect(other.fingerprint != first.fingerprint, "equal prompts under two keys are not linked")
        }
        for other in [
            Self.secrets(method: "PUT"), Self.secrets(path: "/v1/y"), Self.secrets(body: Array("{ }".utf8)),
            Self.secrets(method: "POST/", path: "v1/x"),
        ] {
            #expect(other[0].digest == first.digest && other[0].fingerprint != first.fingerprint)
        }
    }

    /// Keys that hold others as parts must not meet them.
    @Test func accountAndKeyCannotBeMixedUp() {
        let texts = ["a", "aa", "\u{1}a", "a\u{1}"]
        var digests: Set<[UInt8]> = []
        for account in [AccountID(0), 1, 97, 0x61_61, -1] {
            for key in texts { digests.insert(Self.secrets(account: account, key: key)[0].digest) }
        }
        #expect(digests.count == 5 * texts.count)
    }

    // MARK: Forms

    static func form(_ boundary: String, _ fields: [(String, String)]) -> [ClaimSecrets] {
        var form = FormBody(boundary: boundary)
        for (name, value) in fields { form.add(name, value) }
        form.add(file: Array("sound\r\n--b\r--\r\n--".utf8))
        return Self.secrets(type: form.contentType, body: form.bytes)
    }

    @Test func aFormIsTheSameUnderAnotherBoundary() {
        let first = Self.form("b0", [("model", "whisper-1"), ("prompt", "")])[0]
        for boundary in ["b1", "a-much-longer-boundary", "c"] {
            #expect(
                Self.form(boundary, [("model", "whisper-1"), ("prompt", "")])[0].fingerprint
                    == first.fingerprint)
        }
        for fields in [
            [("model", "whisper-1")], [("prompt", ""), ("model", "whisper-1")],
            [("model", "whisper-1"), ("prompt", "x")],
        ] {
            #expect(Self.form("b0", fields)[0].fingerprint != first.fingerprint)
        }
        let json = Self.secrets(body: Array("--b0\r\n--b0--\r\n".utf8))[0]
        let other = Self.secrets(body: Array("--b1\r\n--b1--\r\n".utf8))[0]
        #expect(json.fingerprint != other.fingerprint, "only forms have boundaries")
    }

    /// Content must not become part of its neighbour unseen.
    @Test func whereAFormIsCutCounts() {
        let type = "multipart/form-data; boundary=b"
        let texts = [
            "--b\r\nx\r\n--b\r\ny", "--b\r\nx\r\n--by", "\r\n--b\r\nx\r\n--b\r\ny", "--b\r\nx--b\r\ny", "",
        ]
        let prints = texts.map { Self.secrets(type: type, body: Array($0.utf8))[0].fingerprint }
        // The line break in front of the first boundary is all that may differ.
        #expect(prints[0] == prints[2])
        #expect(Set(prints).count == texts.count - 1)
    }

    // MARK: Replies

    @Test func aReplyIsOpenedByItsRequestOnly() throws {
        let (new, old) = (Self.secrets()[0], Self.secrets()[1])
        let sealed = try #require(new.seal(Self.reply, of: Self.hold))
        #expect(new.open(sealed, of: Self.hold) == Self.reply)
        #expect(Self.secrets()[0].open(sealed, of: Self.hold) == Self.reply, "by a retry's secrets")
        let another = HoldID(millisecondsSinceEpoch: 1, randomA: 2, randomB: 4)
        #expect(new.open(sealed, of: another) == nil && old.open(sealed, of: Self.hold) == nil)
        for stranger in [
            Self.secrets(account: 2), Self.secrets(key: "key-2"), Self.secrets(body: []),
            Self.secrets(peppers: [Array("a pepper that is another one: 32 B".utf8)]),
        ] {
            #expect(stranger[0].open(sealed, of: Self.hold) == nil)
        }
        #expect(Self.secrets(peppers: [Self.peppers[1]])[0].digest == old.digest, "a rotation keeps the name")
    }

    @Test func nothingOfAReplyIsReadableAndNoBitCanBeChanged() throws {
        let secrets = Self.secrets()[0]
        let sealed = try #require(secrets.seal(Self.reply, of: Self.hold))
        #expect(sealed != secrets.seal(Self.reply, of: Self.hold), "a new nonce each time")
        #expect(!String(decoding: sealed, as: UTF8.self).contains("confidential"))
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 1
            #expect(secrets.open(changed, of: Self.hold) == nil)
        }
        for count in 0..<sealed.count { #expect(secrets.open(Array(sealed[..<count]), of: Self.hold) == nil) }
    }

    @Test func aStoredReplyIsReadAsItWasWritten() {
        for reply in [Self.reply, KeptReply(status: 201, fields: [], body: [])] {
            #expect(KeptReply(encoded: reply.encoded) == reply)
        }
        let bytes = Self.reply.encoded
        let headBytes = 7 + Self.reply.fields.count
        for count in 0..<headBytes { #expect(KeptReply(encoded: Array(bytes[..<count])) == nil) }
        #expect(KeptReply(encoded: [2] + bytes.dropFirst()) == nil, "another format")
        #expect(KeptReply(encoded: KeptReply(status: 302, fields: [], body: []).encoded) == nil)
    }

    @Test(arguments: [
        ("a", true), (String(repeating: "~", count: 255), true), ("!", true), ("", false), ("a b", false),
        (String(repeating: "a", count: 256), false), ("a\tb", false), ("é", false), ("\u{7f}", false),
    ])
    func aKeyIsVisibleASCII(_ text: String, _ isKey: Bool) {
        let found = Array(text.utf8).withUnsafeBytes { KeyedRequest.isKey($0) }
        #expect(found == isKey)
    }
}
