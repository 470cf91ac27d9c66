/// What a request brings along without showing it: all that the response read and wrote which it goes on from
/// (`previous_response_id`). Every token of that is billed as input again; `instructions` are not carried along.
public struct EarlierInput: Sendable, Equatable {
    /// As the client wrote it.
    public internal(set) var responseID: String
    /// Its owner was asked for.
    fileprivate(set) var isFound = false
    /// Tokens, as far as they are known.
    fileprivate(set) var tokens: Int64 = 0
    /// `tokens` are what the earlier response was billed for.
    fileprivate(set) var isCounted = false
    /// nil: only the model's context bounds it.
    fileprivate(set) var tokensMax: Int64?

    init(responseID: String) { self.responseID = responseID }
}

extension InspectedRequest {
    /// The request goes on from a response of which it was not asked yet whose it is.
    public var awaitsOwner: Bool { self.earlier.map { !$0.isFound } ?? false }

    /// The request is billed for input of which nobody here knows how much it is: only the report of its reply says.
    public var hidesUncountedInput: Bool { self.earlier.map { !$0.isCounted } ?? false }

    /// The response that the request goes on from is the client's own.
    ///
    /// Another model may read the same text as more tokens, so only its context is a bound then. `truncation` of this
    /// request can only make its input shorter.
    public mutating func follow(_ response: StoredResponse) {
        guard var earlier = self.earlier else { return }
        earlier.isFound = true
        earlier.isCounted = response.context != nil
        earlier.tokens = response.context?.estimate ?? 0
        earlier.tokensMax = response.model == self.model ? response.context?.most : nil
        self.earlier = earlier
    }
}
