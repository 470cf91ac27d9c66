/// What Stripe signs the events of one endpoint with: `whsec_…`, used whole as the key. Never printed.
public struct StripeSigningSecret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible {
    let bytes: [UInt8]

    /// nil unless `text` is 16 to 256 visible ASCII characters without a comma: a shorter one could be guessed.
    public init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard 16...256 ~= bytes.count, bytes.allSatisfy({ 0x21...0x7e ~= $0 && $0 != UInt8(ascii: ",") })
        else { return nil }
        self.bytes = bytes
    }

    public var description: String { "***" }
    public var debugDescription: String { "***" }
}

extension StripeSigningSecret: CustomReflectable {
    /// `dump` and failing expectations look into a value past its description.
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
