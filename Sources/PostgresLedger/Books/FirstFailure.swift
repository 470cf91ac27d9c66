/// For work whose parts do not depend on each other: one that fails keeps none back, and is told when all were tried.
public struct FirstFailure: Sendable {
    private(set) var error: (any Error)?

    public init() {}

    /// The first one tells the most: later ones often follow from it.
    public mutating func note(_ error: any Error) { self.error = self.error ?? error }

    /// - Throws: `CancellationError`; what else the part throws is noted.
    public mutating func trying(_ part: () async throws -> Void) async throws {
        do { try await part() } catch {
            try Task.checkCancellation()
            self.note(error)
        }
    }

    public func throwIfAny() throws {
        if let error = self.error { throw error }
    }
}
