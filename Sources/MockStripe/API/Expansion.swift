/// One `expand[]=data.latest_charge.balance_transaction`.
struct ExpansionPath: Equatable, Sendable {
    let names: [String]

    /// Members that hold the id of another object, and lists that are shown only on demand.
    private static let expandable: Set<String> = [
        "balance_transaction", "charge", "customer", "data", "failure_balance_transaction", "latest_charge",
        "line_items", "payment_intent", "payment_method", "refunds", "source",
    ]

    init(_ path: String) throws(StripeFailure) {
        self.names = path.split(separator: ".").map(String.init)
        guard self.names.count <= 4 else {
            throw .invalid("You cannot expand more than 4 levels of a property. Property: \(path).", "expand")
        }
        guard
            let bad = self.names.first(where: { !Self.expandable.contains($0) }) ?? (path.isEmpty ? "" : nil)
        else {
            return
        }
        throw .invalid("This property cannot be expanded (\(bad)).", "expand")
    }
}

extension StripeWorld {
    func expand(_ json: JSON, _ paths: [ExpansionPath]) -> JSON {
        paths.reduce(json) { self.expand($0, $1.names[...]) }
    }

    private func expand(_ json: JSON, _ names: ArraySlice<String>) -> JSON {
        guard let name = names.first else { return json }
        if let items = json.list { return .list(items.map { self.expand($0, names) }) }
        var json = json
        switch json[name] {
        case .text(let id)?: json[name] = self.expand(self.object(id) ?? .text(id), names.dropFirst())
        case .null?: break
        case let inner?: json[name] = self.expand(inner, names.dropFirst())
        case nil:
            if let inner = self.hidden(name, of: json) { json[name] = self.expand(inner, names.dropFirst()) }
        }
        return json
    }

    /// Any object by its id.
    func object(_ id: String) -> JSON? {
        let live = self.settings.live
        return self.customers[id]?.json(live: live) ?? self.paymentMethods[id]?.json(live: live)
            ?? self.intents[id]?.json(live: live) ?? self.charges[id]?.json(live: live)
            ?? self.refunds[id]?.json(live: live) ?? self.disputes[id]?.json(live: live)
            ?? self.balanceTransactions[id]?.json(live: live)
    }

    /// Lists that an object shows only when they are expanded: since API 2022-11-15 a charge does not list
    /// its refunds by itself.
    private func hidden(_ name: String, of json: JSON) -> JSON? {
        guard let id = json["id"]?.text else { return nil }
        switch (json["object"]?.text, name) {
        case ("charge", "refunds"):
            let refunds = self.refunds.rows.reversed().filter { $0.charge == id }
            return self.list(
                refunds.map { $0.json(live: self.settings.live) }, more: false, "/v1/charges/\(id)/refunds")
        case ("checkout.session", "line_items"):
            return self.list(
                self.sessions[id]?.itemsJSON ?? [], more: false, "/v1/checkout/sessions/\(id)/line_items")
        default: return nil
        }
    }

    func list(_ items: [JSON], more: Bool, _ url: String) -> JSON {
        ["object": "list", "data": .list(items), "has_more": .bool(more), "url": .text(url)]
    }
}
