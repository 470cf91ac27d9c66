import Yams

extension Scenario {
    /// Reads a file; every field of it is known, and each number within its bounds.
    public init(yaml: String) throws(ScenarioError) {
        let root: Node
        do {
            guard let node = try Yams.compose(yaml: yaml) else {
                throw ScenarioError("", "the file is empty")
            }
            root = node
        } catch let error as ScenarioError { throw error } catch {
            throw ScenarioError("", "no YAML: \(error)")
        }
        var fields = try FieldReader(root)
        try self.init(&fields)
        try fields.finish()
    }

    private init(_ fields: inout FieldReader) throws(ScenarioError) {
        guard let name = try fields.text("name") else { throw ScenarioError("name", "is missing") }
        self.name = name
        self.summary = try fields.text("summary") ?? ""
        self.endpoint = try fields.choice("endpoint", default: .chat)
        self.model = try fields.text("model") ?? "gpt-4o-mini"
        self.isStreamed = try fields.flag("stream", default: false)
        self.asksForUsage = try fields.flag("include_usage", default: true)
        self.promptBytes = try fields.distribution("prompt_bytes", in: 1...4_000_000, default: 200)
        self.replyTokens = try fields.distribution("reply_tokens", in: 1...100_000, default: 40)
        self.firstTokenMilliseconds = try fields.whole("first_token_ms", in: 0...600_000) ?? 0
        self.tokensPerSecond = try fields.number("tokens_per_second", in: 0...1_000_000) ?? 0
        self.accounts = try fields.whole("accounts", in: 1...1_000_000) ?? 1
        self.keysPerAccount = try fields.whole("keys_per_account", in: 1...100) ?? 1
        self.arrivals = try Self.arrivals(&fields)
        self.warmUpSeconds = try fields.number("warm_up_seconds", in: 0...3600) ?? 1
        self.durationSeconds = try fields.number("duration_seconds", in: 0.1...864_000) ?? 5
        self.misbehaviour = try Self.misbehaviour(&fields)
        self.onDisconnect = try fields.choice("on_disconnect", default: .cancel)
        self.timeoutSeconds = try fields.number("timeout_seconds", in: 0.1...86_400) ?? 60
        self.memoryGrowthMax = try fields.number("memory_growth_mb", in: 0...1_000_000).map {
            Int($0 * 1_000_000)
        }
        try self.check()
    }

    private static func arrivals(_ fields: inout FieldReader) throws(ScenarioError) -> Arrivals {
        let connections = try fields.whole("connections", in: 1...60_000)
        let rate = try fields.number("rate", in: 0.01...1_000_000)
        let pattern: Arrivals.Pattern? = try fields.choice("arrivals")
        let most = try fields.whole("connections_max", in: 1...60_000)
        switch (connections, rate) {
        case (let connections?, nil):
            guard most == nil else { throw ScenarioError("connections_max", "goes with rate") }
            guard pattern == nil else { throw ScenarioError("arrivals", "goes with rate") }
            return .connections(connections)
        case (nil, let rate?):
            return .rate(perSecond: rate, pattern: pattern ?? .poisson, connectionsMax: most ?? 1024)
        default:
            throw ScenarioError(
                "connections", "a scenario has either connections (closed loop) or rate (open loop)")
        }
    }

    private static func misbehaviour(_ fields: inout FieldReader) throws(ScenarioError) -> Misbehaviour {
        var made = Misbehaviour()
        guard let node = fields.node("clients") else { return made }
        var shares = try FieldReader(node, path: "clients")
        made.disconnecting = try shares.number("disconnecting", in: 0...1) ?? 0
        made.slow = try shares.number("slow", in: 0...1) ?? 0
        made.shortOfMoney = try shares.number("short_of_money", in: 0...1) ?? 0
        try shares.finish()
        guard made.disconnecting + made.slow + made.shortOfMoney <= 1 else {
            throw ScenarioError("clients", "the shares are more than 1 together")
        }
        return made
    }

    private func check() throws(ScenarioError) {
        let isStreamable =
            self.endpoint == .chat || self.endpoint == .responses || self.endpoint == .completions
        guard isStreamable || !self.isStreamed else {
            throw ScenarioError("stream", "embeddings have no streams")
        }
        guard self.isStreamed || self.misbehaviour.disconnecting == 0 else {
            throw ScenarioError(
                "clients.disconnecting", "hang up in the middle of a stream; set stream: true")
        }
    }
}
