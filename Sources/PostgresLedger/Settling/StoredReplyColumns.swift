import Metering

/// The responses of a batch that upstream keeps, as parallel arrays. They are written by the statement that settles, in
/// front of it: one transaction, so a response that was settled has its owner.
struct StoredReplyColumns {
    private(set) var isEmpty = true
    private var id = PostgresArray()
    private var account = PostgresArray()
    private var model = PostgresArray()
    private var input = PostgresArray()
    private var output = PostgresArray()
    private var charged = PostgresArray()

    init(_ batch: some Sequence<Settlement>) {
        for settlement in batch {
            guard let stored = settlement.stored else { continue }
            self.isEmpty = false
            self.id.append(stored.id.text)
            self.account.append(settlement.account)
            self.model.append(settlement.modelRequested)
            Self.append(stored.context?.input, to: &self.input)
            Self.append(stored.context?.output, to: &self.output)
            self.charged.append(stored.isCharged ? "true" : "false")
        }
    }

    private static func append(_ count: Int64?, to array: inout PostgresArray) {
        guard let count else { return array.append(nil as String?) }
        array.append(count)
    }

    /// In the order that `clause` takes them.
    var arrays: [PostgresArray] {
        [self.id, self.account, self.model, self.input, self.output, self.charged]
    }

    /// `statement` with the writing of these rows in front; nothing in them can make it fail. Whoever told first of an id
    /// stays its owner: an outcome that comes twice says the same.
    ///
    /// - Parameter first: number of the first parameter behind those of `statement`.
    static func clause(before statement: String, parametersFrom first: Int) -> String {
        let types = ["text", "bigint", "text", "bigint", "bigint", "boolean"]
        let casts = types.enumerated().map { "$\(first + $0.offset)::\($0.element)[]" }.joined(
            separator: ", ")
        return """
            WITH kept AS (
                INSERT INTO stored_responses (response_id, account_id, model, input_tokens, output_tokens, charged)
                SELECT DISTINCT ON (r.id) r.id, r.account, r.model, r.input, r.output, r.charged
                FROM unnest(\(casts)) AS r(id, account, model, input, output, charged) ORDER BY r.id
                ON CONFLICT DO NOTHING)
            \(statement)
            """
    }
}
