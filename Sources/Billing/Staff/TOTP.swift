import Crypto
import Metering

/// Time-based one-time passwords as authenticator apps make them: RFC 6238 with SHA-1, 6 digits, 30 seconds.
public enum TOTP {
    public static let secondsPerStep: Int64 = 30
    /// Of a new secret, as RFC 4226 wants them.
    public static let secretBytes = 20

    public static func step(atMilliseconds time: Int64) -> Int64 { time / 1000 / self.secondsPerStep }

    /// Six digits.
    public static func code(_ secret: [UInt8], step: Int64) -> String {
        let counter = (0..<8).map { UInt8(truncatingIfNeeded: step >> Int64(56 - 8 * $0)) }
        let code = HMAC<Insecure.SHA1>.authenticationCode(for: counter, using: SymmetricKey(data: secret))
        let bytes = Array(code)
        let offset = Int(bytes[19] & 15)
        let word = bytes[offset..<offset + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } & 0x7fff_ffff
        let digits = String(word % 1_000_000)
        return String(repeating: "0", count: 6 - digits.count) + digits
    }

    /// The step that a code is of, if it is one of now, of the step before or of the one after: clocks differ.
    ///
    /// - Parameter last: the newest step whose code was accepted; it and those before it are not accepted again.
    public static func match(
        _ code: String, _ secret: [UInt8], atMilliseconds time: Int64, after last: Int64
    ) -> Int64? {
        let now = self.step(atMilliseconds: time)
        let given = Array(code.utf8)
        // All three are compared, so that time tells nothing of the first that matches.
        return (now - 1...now + 1).reduce(nil) { found, step in
            let expected = Array(self.code(secret, step: step).utf8)
            return ConstantTime.areEqual(given, expected) && step > last ? step : found
        }
    }

    /// What an authenticator app reads as a QR code.
    public static func url(_ secret: [UInt8], email: String) -> String {
        let account = email.utf8.map { byte -> String in
            let isPlain = 0x30...0x39 ~= byte || 0x41...0x5a ~= byte || 0x61...0x7a ~= byte || byte == 0x2e
            return isPlain ? String(UnicodeScalar(byte)) : "%" + Hexadecimal.text([byte]).uppercased()
        }.joined()
        return "otpauth://totp/Tollgate:\(account)?secret=\(Base32.text(secret))&issuer=Tollgate"
    }
}

/// RFC 4648, without padding.
public enum Base32 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)

    public static func text(_ bytes: [UInt8]) -> String {
        var (text, buffer, bits): ([UInt8], UInt32, Int) = ([], 0, 0)
        for byte in bytes {
            buffer = buffer << 8 | UInt32(byte)
            bits += 8
            while bits >= 5 {
                bits -= 5
                text.append(self.alphabet[Int(buffer >> UInt32(bits) & 31)])
            }
            // What is left are fewer than five bits.
            buffer &= (1 << UInt32(bits)) - 1
        }
        if bits > 0 { text.append(self.alphabet[Int(buffer << UInt32(5 - bits) & 31)]) }
        return String(decoding: text, as: UTF8.self)
    }
}
