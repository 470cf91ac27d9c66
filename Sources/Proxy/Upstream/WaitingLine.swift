import NIOCore

/// Those who wait for a connection, in order. Whoever leaves the line costs no search: the place stays, empty, until it
/// is met or most places are empty.
struct WaitingLine {
    private final class Place {
        var borrower: (any UpstreamBorrower)?
        init(_ borrower: any UpstreamBorrower) { self.borrower = borrower }
    }

    private var places = CircularBuffer<Place>()
    private var taken: [ObjectIdentifier: Place] = [:]

    var count: Int { self.taken.count }

    /// Places in memory, the empty ones included.
    var placeCount: Int { self.places.count }

    /// Whoever stands in the line already keeps that place.
    mutating func append(_ borrower: any UpstreamBorrower) {
        guard self.taken[ObjectIdentifier(borrower)] == nil else { return }
        let place = Place(borrower)
        self.taken[ObjectIdentifier(borrower)] = place
        self.places.append(place)
    }

    mutating func popFirst() -> (any UpstreamBorrower)? {
        while let place = self.places.popFirst() {
            guard let borrower = place.borrower else { continue }
            self.taken[ObjectIdentifier(borrower)] = nil
            return borrower
        }
        return nil
    }

    mutating func remove(_ borrower: any UpstreamBorrower) {
        guard let place = self.taken.removeValue(forKey: ObjectIdentifier(borrower)) else { return }
        place.borrower = nil
        guard self.places.count > 2 * self.count + Self.emptyMax else { return }
        self.places.removeAll { $0.borrower == nil }
    }

    private static let emptyMax = 16
}
