import Metering

/// Identity of a purchase, made before Stripe is asked for anything: a UUIDv7.
public struct PurchaseID: Sendable, Hashable, CustomStringConvertible {
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
