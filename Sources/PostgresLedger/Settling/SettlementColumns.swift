import Metering

/// A batch of outcomes as the parallel arrays that `settle` takes.
struct SettlementColumns {
    private var account = PostgresArray()
    private var hold = PostgresArray()
    private var kind = PostgresArray()
    private var authority = PostgresArray()
    private var model = PostgresArray()
    private var served = PostgresArray()
    private var endpoint = PostgresArray()
    private var tier = PostgresArray()
    private var input = PostgresArray()
    private var cached = PostgresArray()
    private var written = PostgresArray()
    private var output = PostgresArray()
    private var reasoning = PostgresArray()
    private var price = PostgresArray()
    private var charged = PostgresArray()
    private var shadow = PostgresArray()
    private var cost = PostgresArray()
    private var request = PostgresArray()
    private var reason = PostgresArray()
    private var digest = PostgresArray()
    private var boot = PostgresArray()
    private var occurred = PostgresArray()
    private var parts = PostgresArray()

    init(_ batch: some Sequence<Settlement>) {
        for settlement in batch { self.append(settlement) }
    }

    private mutating func append(_ row: Settlement) {
        self.account.append(row.account)
        self.hold.append(row.hold)
        self.kind.append(row.kind.name)
        self.authority.append(Int64(row.authority.rawValue))
        self.model.append(row.modelRequested)
        self.served.append(row.modelServed)
        self.endpoint.append(row.endpoint.rawValue)
        self.tier.append(row.servedTier)
        self.input.append(row.usage.inputTotal)
        self.cached.append(row.usage.cachedInput)
        self.written.append(row.usage.cacheWrite)
        self.output.append(row.usage.outputTotal)
        self.reasoning.append(row.usage.reasoning)
        self.price.append(row.priceID)
        self.charged.append(row.charge.amount.value)
        self.shadow.append(row.shadow.value)
        self.cost.append(row.charge.cost.value)
        self.request.append(row.upstreamRequestID)
        self.reason.append(row.estimatedBecause?.rawValue)
        self.digest.append(row.digest)
        self.boot.append(row.owner)
        self.occurred.append(row.occurredAtMilliseconds)
        self.parts.append(row.usage.rarePartsJSON)
    }

    /// What `settle` takes, in the order of `types`.
    var arrays: [PostgresArray] {
        [
            self.account, self.hold, self.kind, self.authority, self.model, self.served, self.endpoint,
            self.tier,
            self.input, self.cached, self.written, self.output, self.reasoning, self.price, self.charged,
            self.shadow,
            self.cost, self.request, self.reason, self.digest, self.boot, self.occurred,
            self.parts,
        ]
    }

    static let statement = """
        SELECT o_account, o_balance, o_version, o_generation, o_conflicts
        FROM settle($1::uuid, $2::uuid, \(casts(of: types[...], from: 3)))
        """

    /// Its last parameter is the payload of each row, for quarantine; the function takes it before the parts.
    static let statementInParts = """
        SELECT o_account, o_balance, o_version, o_generation, o_conflicts, o_refused::text
        FROM settle_in_parts(\(casts(of: types.dropLast(), from: 1)), $\(types.count + 1)::text[],
            $\(types.count)::jsonb[])
        """

    private static func casts(of types: ArraySlice<String>, from first: Int) -> String {
        types.enumerated().map { "$\($0.offset + first)::\($0.element)[]" }.joined(separator: ", ")
    }

    /// Of the arrays, in their order.
    private static let types = [
        "bigint", "uuid", "text", "smallint", "text", "text", "text", "text", "bigint", "bigint", "bigint",
        "bigint", "bigint", "text", "bigint", "bigint", "bigint", "text", "text", "bigint", "uuid", "bigint",
        "jsonb",
    ]
}
