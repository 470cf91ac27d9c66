import Metering

/// Which ledger it is, among those that share an account at Stripe: kept in the ledger itself, so a restored one is the
/// same one.
public struct LedgerID: Sendable, Hashable, CustomStringConvertible {
    public let uuid: HoldID

    public init(_ uuid: HoldID) { self.uuid = uuid }

    /// nil unless it is a UUID in its usual spelling.
    public init?(text: some StringProtocol) {
        guard let uuid = HoldID(text: text) else { return nil }
        self.uuid = uuid
    }

    /// Lower case.
    public var description: String { self.uuid.withTextBytes { String(decoding: $0, as: UTF8.self) } }
}
