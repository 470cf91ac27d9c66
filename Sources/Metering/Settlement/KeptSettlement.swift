/// A settlement, or none yet, behind a reference: exchanges that run by the thousand have none, and should not carry the
/// room for one.
public indirect enum KeptSettlement: Sendable {
    case none
    case some(Settlement)

    public var value: Settlement? { if case .some(let settlement) = self { settlement } else { nil } }
}
