/// The id under which upstream keeps a response: 1 to 128 of `A-Z a-z 0-9 _ -`, so that it can stand in a path, in a
/// key of the store and in a payload as it is.
public struct ResponseID: Sendable, Hashable, CustomStringConvertible {
    public static let bytesMax = 128
    public let text: String

    /// nil: no response has such an id.
    public init?(_ text: some StringProtocol) {
        guard (1...Self.bytesMax).contains(text.utf8.count), text.utf8.allSatisfy(Self.isPlain) else {
            return nil
        }
        self.text = String(text)
    }

    public static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    public var description: String { self.text }
}

/// What a response was billed for, from which follows what one is that goes on from it.
public struct ContextTokens: Sendable, Hashable {
    /// All that it read: its own input, and what it went on from itself.
    public let input: Int64
    /// All that it wrote, reasoning included.
    public let output: Int64

    /// nil: a count is negative.
    public init?(input: Int64, output: Int64) {
        guard input >= 0, output >= 0 else { return nil }
        self.input = input
        self.output = output
    }

    /// What the next response reads again, as far as it is known.
    public var estimate: Int64 { Self.sum(self.input, self.output) }

    /// The most that the next response reads again. What was read is read as it was, its template included (facts C5).
    /// What was written gets a frame for each message and call, which is not in the usage that wrote it; nobody
    /// documents its length, but each has a token of its own, and a call has more than its frame.
    public var most: Int64 { Self.sum(self.estimate, self.output) }

    private static func sum(_ one: Int64, _ other: Int64) -> Int64 {
        let (sum, overflow) = one.addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}

/// That upstream keeps what an exchange said, as its settlement tells it to the ledger.
public struct StoredReply: Sendable, Hashable {
    public var id: ResponseID
    /// nil: the usage is not known, or not all of what the response read is in it (hosted tools).
    public var context: ContextTokens?
    /// It was charged by its report, as a whole: whoever reads it again has paid for all of it.
    public var isCharged: Bool

    public init(id: ResponseID, context: ContextTokens? = nil, isCharged: Bool = false) {
        self.id = id
        self.context = context
        self.isCharged = isCharged || context != nil
    }
}

/// A response that upstream keeps, and whose it is.
public struct StoredResponse: Sendable, Hashable {
    public var id: ResponseID
    public var account: AccountID
    /// As it was requested.
    public var model: String
    /// nil: not known (yet).
    public var context: ContextTokens?
    /// It was charged by its report, as a whole; false as long as it is being written, and for good when it was cut.
    public var isCharged: Bool

    public init(
        id: ResponseID, account: AccountID, model: String, context: ContextTokens? = nil,
        isCharged: Bool = false
    ) {
        self.id = id
        self.account = account
        self.model = model
        self.context = context
        self.isCharged = isCharged || context != nil
    }
}

/// Whose a response is. All of them are one account's at OpenAI, the operator's, so it is asked here before one is used.
public protocol ResponseOwners: Sendable {
    /// Makes the owner known to all instances at once, for about an hour; the ledger learns of it with the settlement.
    /// Not waited for, and may be lost. What is said later of the same response replaces what was said before.
    func remember(_ response: StoredResponse)

    /// nil: there is no such response, or it is another account's. `reply` is called exactly once, on any thread.
    func find(
        _ id: ResponseID, of account: AccountID,
        reply: @escaping @Sendable (Result<StoredResponse?, DirectoryFailure>) -> Void)
}
