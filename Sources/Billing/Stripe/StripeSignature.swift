import Crypto
import Metering

/// The `Stripe-Signature` header: `t=<seconds>,v1=<hex>,…`, where each v1 is HMAC-SHA256 over `<t>.<raw body>`.
///
/// Source: https://docs.stripe.com/webhooks#verify-manually. Schemes other than v1 prove nothing and are passed over;
/// there are several v1 while Stripe rotates, and several secrets while we do.
public enum StripeSignature {
    /// Seconds that the time of signing may be away from now, before or after it.
    public static let toleranceSeconds: Int64 = 300
    /// More signatures than any rotation needs are work for nothing.
    static let signaturesMax = 16
    static let headerBytesMax = 4096

    public enum Verdict: Sendable, Hashable {
        case valid(at: Int64)
        /// Signed by Stripe, but too long ago or too far ahead: a replay, a late delivery, or a wrong clock. The body
        /// is not to be trusted; the event is fetched by its id instead.
        case badlyTimed(at: Int64)
        case malformedHeader
        /// Nothing in the header was made with any of these secrets.
        case noMatch
    }

    /// - Parameters:
    ///   - body: as it came over the wire; parsed and printed again it has another signature.
    ///   - now: seconds since 1970.
    public static func verify(
        header: some StringProtocol, body: UnsafeRawBufferPointer, secrets: [StripeSigningSecret], now: Int64
    ) -> Verdict {
        guard let parts = Parts(header) else { return .malformedHeader }
        // Nothing is hashed for a header that cannot match.
        guard !parts.signatures.isEmpty else { return .noMatch }
        var matches = false
        for secret in secrets {
            let expected = Self.code(secret, time: parts.timeText, body: body)
            // No early exit: how long it takes tells nothing about which one matched, or how far.
            for signature in parts.signatures where Self.isEqual(expected, signature) { matches = true }
        }
        guard matches else { return .noMatch }
        let isTimely = (now &- parts.time).magnitude <= UInt64(Self.toleranceSeconds)
        return isTimely ? .valid(at: parts.time) : .badlyTimed(at: parts.time)
    }

    /// The header that Stripe would send with this body; for `stripe listen-check` and tests.
    /// - Parameter time: seconds since 1970.
    public static func header(
        body: UnsafeRawBufferPointer, secret: StripeSigningSecret, at time: Int64
    ) -> String {
        let code = Self.code(secret, time: Array(String(time).utf8), body: body)
        return "t=\(time),v1=" + Hexadecimal.text(code)
    }

    private static func code(
        _ secret: StripeSigningSecret, time: [UInt8], body: UnsafeRawBufferPointer
    ) -> [UInt8] {
        var code = HMAC<SHA256>(key: SymmetricKey(data: secret.bytes))
        code.update(data: time + [UInt8(ascii: ".")])
        code.update(data: body)
        return Array(code.finalize())
    }

    private static func isEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

extension StripeSignature {
    /// A header taken apart.
    private struct Parts {
        /// As it was sent: the signature is over this text, not over the number.
        var timeText: [UInt8] = []
        var time: Int64 = 0
        /// 32 bytes each.
        var signatures: [[UInt8]] = []

        /// nil: no time, two times, a time that is no number, or too much of it.
        init?(_ header: some StringProtocol) {
            let bytes = Array(header.utf8)
            guard bytes.count <= StripeSignature.headerBytesMax else { return nil }
            var time: [UInt8]?
            for part in bytes.split(separator: UInt8(ascii: ",")) {
                guard let equals = part.firstIndex(of: UInt8(ascii: "=")) else { return nil }
                let value = Array(part[(equals + 1)...])
                if part[..<equals].elementsEqual("t".utf8) {
                    guard time == nil else { return nil }
                    time = value
                } else if part[..<equals].elementsEqual("v1".utf8) {
                    guard self.signatures.count < StripeSignature.signaturesMax else { return nil }
                    // Something else than 32 bytes in hex is a signature that does not match.
                    if let signature = Self.unhex(value) { self.signatures.append(signature) }
                }
            }
            guard let time, let seconds = Self.seconds(time) else { return nil }
            self.timeText = time
            self.time = seconds
        }

        private static func seconds(_ text: [UInt8]) -> Int64? {
            guard 1...15 ~= text.count else { return nil }
            var value: Int64 = 0
            for byte in text {
                guard 48...57 ~= byte else { return nil }
                value = value * 10 + Int64(byte - 48)
            }
            return value
        }

        /// Lower case only, as Stripe writes it: one signature has one spelling.
        private static func unhex(_ text: [UInt8]) -> [UInt8]? {
            guard text.count == 64 else { return nil }
            var bytes: [UInt8] = []
            for at in stride(from: 0, to: 64, by: 2) {
                guard let high = self.nibble(text[at]), let low = self.nibble(text[at + 1]) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            }
            return bytes
        }

        private static func nibble(_ byte: UInt8) -> UInt8? {
            switch byte {
            case 48...57: byte - 48
            case 97...102: byte - 87
            default: nil
            }
        }
    }
}
