/// One kind of Stripe object.
protocol StripeObject: Sendable {
    var id: String { get }
    /// Seconds since 1970.
    var created: Int { get }
    /// As the API shows it, without expansion.
    func json(live: Bool) -> JSON
}

/// Objects by id, in the order in which they were created.
struct Table<Row: StripeObject>: Sendable {
    private(set) var rows: [Row] = []
    private var places: [String: Int] = [:]

    /// Setting an id that is not there adds it. Nothing is ever removed.
    subscript(id: String) -> Row? {
        get { self.places[id].map { self.rows[$0] } }
        set {
            guard let newValue else { return }
            if let place = self.places[id] {
                self.rows[place] = newValue
            } else {
                self.places[id] = self.rows.count
                self.rows.append(newValue)
            }
        }
    }

    /// Its index in `rows`.
    func place(of id: String) -> Int? { self.places[id] }

    mutating func add(_ row: Row) { self[row.id] = row }
}
