import Billing

/// A new API key's secret: `tg_` and 43 characters of base64url over 32 random bytes. Shown once, stored
/// nowhere.
public struct KeySecret: Sendable, CustomStringConvertible {
    public let text: String

    public init() {
        var random = SystemRandomNumberGenerator()
        self.init(words: (0..<4).map { _ in random.next() })
    }

    init(words: [UInt64]) {
        precondition(words.count == 4, "KeySecret.init draws 32 bytes")
        let bytes = words.flatMap { word in
            (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) }
        }
        self.text = "tg_" + Self.base64URL(bytes)
    }

    /// What lists show.
    public var prefix: String { String(self.text.prefix(AdministeredKey.prefixBytes)) }

    /// Never the secret: it must not reach a log by accident.
    public var description: String { "***" }

    /// RFC 4648 §5 without padding.
    private static func base64URL(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        var text: [UInt8] = []
        var buffer: UInt32 = 0
        var bits: UInt32 = 0
        for byte in bytes {
            buffer = buffer << 8 | UInt32(byte)
            bits += 8
            while bits >= 6 {
                bits -= 6
                text.append(alphabet[Int(buffer >> bits & 63)])
            }
        }
        if bits > 0 { text.append(alphabet[Int(buffer << (6 - bits) & 63)]) }
        return String(decoding: text, as: UTF8.self)
    }
}
