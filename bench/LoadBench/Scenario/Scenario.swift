/// One kind of load. `Scenario(yaml:)` reads it; docs and defaults of each field stand in bench/scenarios/README.md.
public struct Scenario: Equatable, Sendable {
    public var name: String
    public var summary: String
    public var endpoint: Endpoint
    public var model: String
    public var isStreamed: Bool
    /// The client asks for the usage at the end of a stream.
    public var asksForUsage: Bool
    /// Bytes of the user's message.
    public var promptBytes: Distribution
    /// Tokens that the mock answers with, one event each in a stream.
    public var replyTokens: Distribution
    public var firstTokenMilliseconds: Int
    /// Of each stream; 0: at once.
    public var tokensPerSecond: Double
    public var accounts: Int
    public var keysPerAccount: Int
    public var arrivals: Arrivals
    public var warmUpSeconds: Double
    public var durationSeconds: Double
    /// Clients that do not behave; shares of all exchanges, together at most 1.
    public var misbehaviour: Misbehaviour
    /// What becomes of a stream whose client leaves (`BILLING_ON_DISCONNECT`).
    public var onDisconnect: DisconnectPolicy
    /// An exchange that is not over by then is a failure.
    public var timeoutSeconds: Double
    /// Bytes that Tollgate may have more behind the last exchange than before the first one; nil: not judged.
    public var memoryGrowthMax: Int?

    public enum Endpoint: String, CaseIterable, Sendable {
        case chat, responses, completions, embeddings

        public var path: String {
            switch self {
            case .chat: "/v1/chat/completions"
            case .responses: "/v1/responses"
            case .completions: "/v1/completions"
            case .embeddings: "/v1/embeddings"
            }
        }
    }

    public enum Arrivals: Equatable, Sendable {
        /// Closed loop: so many connections, each with its next request when the reply before is there.
        case connections(Int)
        /// Open loop: requests begin when they are due, whatever became of those before. Times are measured from then,
        /// also when no connection was free.
        case rate(perSecond: Double, pattern: Pattern, connectionsMax: Int)

        /// How many connections there can be at a time.
        public var connectionsMax: Int {
            switch self {
            case .connections(let count), .rate(_, _, let count): count
            }
        }

        public enum Pattern: String, CaseIterable, Sendable { case poisson, steady }
    }

    public struct Misbehaviour: Equatable, Sendable {
        /// Hang up in the middle of the stream.
        public var disconnecting = 0.0
        /// Read a kibibyte now and then.
        public var slow = 0.0
        /// Have no credits, and are to be told so with a 402.
        public var shortOfMoney = 0.0

        public init() {}
    }

    public enum DisconnectPolicy: String, CaseIterable, Sendable { case cancel, drain }

    /// Whether the usage of every exchange is known from its reply: not of those that are cut off.
    public var isExactlyChargeable: Bool {
        self.misbehaviour.disconnecting == 0 || self.onDisconnect == .drain
    }
}
