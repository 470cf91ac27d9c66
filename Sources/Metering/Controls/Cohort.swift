import Crypto

/// Where a user stands in a rollout: one of 10,000 places that follows from the user id alone, on every instance and for
/// ever. Whoever is inside at some percentage is inside at every larger one.
public struct Cohort: Sendable, Hashable {
    /// Changing it would exchange the users of every running rollout.
    static let salt = "tollgate rollout 1:"
    static let places: UInt64 = 10_000

    /// 0…9,999.
    public let place: UInt64

    public init(user: String) {
        var hash = SHA256()
        hash.update(data: Array(Self.salt.utf8))
        hash.update(data: Array(user.utf8))
        let first = hash.finalize().withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
        self.place = UInt64(bigEndian: first) % Self.places
    }

    /// - Parameter percentage: 0…100.
    public func isInside(percentage: Int64) -> Bool {
        Int64(self.place) < percentage * Int64(Self.places / 100)
    }
}
