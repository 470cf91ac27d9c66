import Crypto

/// The header `Stripe-Signature`: `t=…,v1=…`, an HMAC-SHA256 over time, dot and body.
enum WebhookSignature {
    static func header(body: String, secret: String, seconds: Int) -> String {
        let key = SymmetricKey(data: Array(secret.utf8))
        let code = HMAC<SHA256>.authenticationCode(for: Array("\(seconds).\(body)".utf8), using: key)
        let digits = code.map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        return "t=\(seconds),v1=\(digits.joined())"
    }
}
