extension StripeWorld {
    /// A page of a list, newest first. `limit` is 1…100, 10 unless told. A cursor need not pass the filters.
    func page<Row: StripeObject>(
        _ table: Table<Row>, _ call: Route.Call, where included: (Row) -> Bool = { _ in true }
    ) throws(StripeFailure) -> JSON {
        let given = call.parameters
        let limit = given.integer("limit") ?? 10
        guard (1...100).contains(limit) else {
            throw .invalid(
                "This value must be between 1 and 100.", "limit", code: "parameter_invalid_integer")
        }
        guard given.text("starting_after") == nil || given.text("ending_before") == nil else {
            throw .invalid(
                "You may only specify one of these parameters: ending_before, starting_after.", nil)
        }
        let places = table.rows.indices
        let older = try table.place(given, "starting_after").map { places[..<$0] } ?? places[...]
        let newer = try table.place(given, "ending_before").map { places[($0 + 1)...] }
        // One more than is shown says whether there are more.
        var found: [Row] = []
        func take(_ place: Int) -> Bool {
            let row = table.rows[place]
            if given.range("created", contains: row.created), included(row) { found.append(row) }
            return found.count > limit
        }
        if let newer { _ = newer.first(where: take) } else { _ = older.reversed().first(where: take) }
        let shown = newer == nil ? Array(found.prefix(limit)) : found.prefix(limit).reversed()
        return self.list(
            shown.map { $0.json(live: self.settings.live) }, more: found.count > limit, call.path)
    }
}

extension Table {
    /// Where the object is that the cursor of that name names.
    fileprivate func place(_ given: Parameters, _ cursor: String) throws(StripeFailure) -> Int? {
        guard let id = given.text(cursor) else { return nil }
        guard let place = self.place(of: id) else { throw .noSuch("object", id, cursor) }
        return place
    }
}
