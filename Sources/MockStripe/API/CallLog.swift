/// What came in and what was delivered, for tests.
struct CallLog: Sendable {
    private(set) var calls: [JSON] = []
    private(set) var deliveries: [JSON] = []

    static let limit = 100_000

    mutating func add(call: JSON) { if self.calls.count < Self.limit { self.calls.append(call) } }
    mutating func add(delivery: JSON) {
        if self.deliveries.count < Self.limit { self.deliveries.append(delivery) }
    }

    /// Rows after the first `calls` and `deliveries` ones.
    func json(afterCalls: Int, afterDeliveries: Int) -> JSON {
        [
            "calls": .list(Array(self.calls.dropFirst(afterCalls))),
            "deliveries": .list(Array(self.deliveries.dropFirst(afterDeliveries))),
        ]
    }
}
