import Metering

/// One secret of the environment, as preflight looks at it.
struct NamedSecret: Sendable {
    /// Without blanks.
    var name: String
    /// What of the setting is meant; nil: all of it.
    var part: String?
    /// Several while rotating; the first signs.
    var values: [Secret]
    /// nil: it stands in the environment itself.
    var file: File?

    /// For the reader.
    var title: String { self.part.map { "\($0) of \(self.name)" } ?? self.name }

    /// Where `NAME_FILE` points to.
    struct File: Sendable, Hashable {
        var path: String
        /// The permission bits; nil: it cannot be looked at.
        var mode: UInt32?
    }
}

/// Whether secrets are fit for production; pure.
enum SecretJudgement {
    /// Beginnings of what people write where a secret belongs, and of the secrets of mocks, examples and fresh
    /// installations; without what stands between words.
    private static let known = [
        "changeme", "changethis", "changeit", "replace", "secret", "password", "passwd", "example", "sample",
        "test",
        "dev", "demo", "dummy", "fake", "mock", "operator", "placeholder", "todo", "yourkey", "yoursecret",
        "yourapi",
        "your", "insert", "enterhere", "default", "postgres", "tollgate", "redis", "foobared", "letmein",
        "qwerty",
        "admin", "root", "guest", "xxxx", "1234", "abcd", "aaaa", "0000",
    ]
    /// What vendors write before a secret of theirs.
    private static let vendorPrefixes = [
        "sk-proj-", "sk-svcacct-", "sk-admin-", "sk-", "sk_live_", "sk_test_", "rk_live_", "rk_test_",
        "whsec_",
    ]
    /// Random bytes of 32 characters have far more.
    private static let distinctBytesMin = 8
    private static let bytesMin = 16
    static let ageDaysMax: Int64 = 90

    static func findings(_ secrets: [NamedSecret]) -> [PreflightLine] {
        secrets.flatMap { Self.values($0) + Self.file($0) } + Self.reuse(secrets)
    }

    private static func values(_ secret: NamedSecret) -> [PreflightLine] {
        var lines: [PreflightLine] = []
        for value in secret.values.map(\.value) {
            if Self.isKnown(value) {
                lines.append(.failed("secrets", "\(secret.title) is a value that everybody knows"))
            } else if Set(value.utf8).count < Self.distinctBytesMin {
                lines.append(.failed("secrets", "\(secret.title) is not random; use `openssl rand -hex 32`"))
            } else if value.utf8.count < Self.bytesMin {
                lines.append(.failed("secrets", "\(secret.title) is shorter than \(Self.bytesMin) bytes"))
            }
        }
        if secret.values.count > 1 {
            lines.append(
                .warning(
                    "secrets",
                    "\(secret.name) has \(secret.values.count) values; drop the old ones when rotated"))
        }
        return lines
    }

    /// `sk-test-…`, `Change_Me_1` and `<your-key>` are what they begin with, whatever stands around the words.
    static func isKnown(_ value: String) -> Bool {
        let text = value.lowercased()
        let vendor = Self.vendorPrefixes.first { text.hasPrefix($0) } ?? ""
        let words = text.dropFirst(vendor.count).filter { $0.isLetter || $0.isNumber }
        return Self.known.contains { words.hasPrefix($0) }
    }

    private static func file(_ secret: NamedSecret) -> [PreflightLine] {
        guard let file = secret.file else { return [] }
        guard let mode = file.mode else {
            return [.failed("secrets", "\(secret.name)_FILE: \(file.path) cannot be looked at")]
        }
        guard mode & 0o007 == 0 else {
            return [.failed("secrets", "\(secret.name)_FILE: everybody may read \(file.path); chmod 0640")]
        }
        guard mode & 0o020 == 0 else {
            return [.failed("secrets", "\(secret.name)_FILE: its group may write \(file.path); chmod 0640")]
        }
        return []
    }

    private static func reuse(_ secrets: [NamedSecret]) -> [PreflightLine] {
        var names: [String: String] = [:]
        var lines: [PreflightLine] = []
        for secret in secrets {
            for value in secret.values.map(\.value) {
                if let other = names[value], other != secret.title {
                    lines.append(.failed("secrets", "\(secret.title) and \(other) are the same"))
                }
                names[value] = secret.title
            }
        }
        return lines
    }

    /// - Parameter days: since each name's first value was first seen.
    static func ages(_ days: [(name: String, days: Int64)]) -> [PreflightLine] {
        days.filter { $0.days > Self.ageDaysMax }.map {
            .warning("rotation", "\($0.name) is \($0.days) days old; rotate it (docs/OPERATIONS.md)")
        }
    }

    /// Secrets that staging has too.
    static func shared(_ secrets: [NamedSecret], with staging: Set<String>) -> [PreflightLine] {
        secrets.filter { $0.values.contains { staging.contains(SecretFingerprint.text($0)) } }.map {
            .failed("staging", "\($0.title) is a secret of staging as well; make a new one")
        }
    }
}

/// What two environments can compare without telling each other a secret.
enum SecretFingerprint {
    private static let hasher = KeyHasher(peppers: [Array("tollgate fingerprint of a secret, v1".utf8)])

    /// 64 hexadecimal digits.
    static func text(_ secret: Secret) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let bytes = self.digest(secret, self.hasher).bytes.flatMap {
            [digits[Int($0 >> 4)], digits[Int($0 & 15)]]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func digest(_ secret: Secret, _ hasher: KeyHasher) -> KeyDigest {
        Array(secret.value.utf8).withUnsafeBytes { hasher.digest($0) }
    }

    /// - Parameter text: lines of `NAME FINGERPRINT`; nil when a line is something else.
    static func parse(_ text: String) -> Set<String>? {
        var found: Set<String> = []
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(separator: " ")
            guard words.count == 2, words[1].utf8.count == 64, words[1].allSatisfy(\.isHexDigit) else {
                return nil
            }
            found.insert(words[1].lowercased())
        }
        return found.isEmpty ? nil : found
    }
}
