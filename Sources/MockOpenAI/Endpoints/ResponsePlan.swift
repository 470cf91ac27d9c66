import NIOCore

/// What a response consumes and shows, decided before it is written.
struct ResponsePlan {
    /// A call of a tool that OpenAI runs.
    struct HostedCall {
        /// `type` of the output item.
        let item: String
        /// Name under which it is billed; nil: it has no fee.
        let billed: String?
    }

    let facts: ReplyFacts
    let calls: [HostedCall]
    /// Escaped pieces of the text or of the arguments, one per token.
    let pieces: [String]
    /// Raw name of the function that is called; nil for a text reply.
    let function: String?
    let counts: TokenCounts
    let status: Behaviour.ResponseStatus
    let isCutByCap: Bool

    init(_ facts: ReplyFacts, earlierTokens: Int) {
        self.facts = facts
        let (tree, behaviour) = (facts.tree, facts.behaviour)
        calls = Self.hostedCalls(facts)
        let tool = Self.calledFunction(tree)
        function = tool?["name"].text
        var wanted: [String]
        if let tool {
            wanted = SchemaFiller.pieces(of: tool["parameters"]).map(SchemaFiller.escaped)
        } else if tree["text"]["format"]["type"].text?.hasPrefix("json") == true {
            wanted = SchemaFiller.pieces(of: tree["text"]["format"]["schema"]).map(SchemaFiller.escaped)
        } else {
            wanted = (0..<facts.wantedTokens).map(facts.word)
        }
        let room = facts.request.cap ?? Int.max
        let wantedReasoning =
            behaviour.reasoning ?? (facts.model.reasons ? 16 + Int(facts.seed >> 32 & 63) : 0)
        let reasoning = min(wantedReasoning, room)
        isCutByCap = wantedReasoning + wanted.count > room
        wanted.removeLast(max(0, wanted.count - (room - reasoning)))
        if behaviour.status != .completed {
            wanted.removeLast(wanted.count - min(behaviour.after ?? wanted.count / 2, wanted.count))
        }
        pieces = wanted
        status = behaviour.status == .completed && isCutByCap ? .incomplete : behaviour.status
        let input = Self.inputTokens(facts, turns: 1 + calls.count, earlierTokens)
        counts = facts.counts(prompt: input, completion: reasoning + wanted.count, reasoning: reasoning)
    }

    /// Documented rule: (ceil(text bytes / 4) + 4 per item + 3, at most the body's bytes, + what the earlier
    /// response had) for each turn, + 200 for each call that the turn has seen.
    private static func inputTokens(_ facts: ReplyFacts, turns: Int, _ earlier: Int) -> Int {
        if let forced = facts.behaviour.prompt { return forced }
        let tree = facts.tree
        let tools = tree["tools"].isGiven ? tree["tools"].json.utf8.count : 0
        let bytes = tree["input"].textBytes + tree["instructions"].textBytes + tools
        let items = tree["input"].elements?.count ?? 1
        let once = min((bytes + 3) / 4 + 4 * items + 3, facts.request.bodyBytes) + earlier
        return once * turns + 200 * (turns * (turns - 1) / 2)
    }

    private static func hostedCalls(_ facts: ReplyFacts) -> [HostedCall] {
        let tree = facts.tree
        let hosted = (tree["tools"].elements ?? []).compactMap { $0["type"].text }.filter {
            !["function", "custom", "local_shell", "shell", "apply_patch"].contains($0)
        }
        guard !hosted.isEmpty, tree["tool_choice"].text != "none" else { return [] }
        let wanted = facts.behaviour.calls ?? (1 + Int(facts.seed >> 16 % 3))
        let count = min(wanted, tree["max_tool_calls"].integer ?? 128)
        let types = (0..<count).map { hosted[$0 % hosted.count] }
        let searches = types.count { $0.hasPrefix("web_search") }
        var billedLeft = searches - min(facts.behaviour.opens ?? searches / 3, searches)
        return types.map { type in
            if type.hasPrefix("web_search") {
                billedLeft -= 1
                let name = type.hasPrefix("web_search_preview") ? "web_search_preview" : "web_search"
                return HostedCall(item: "web_search_call", billed: billedLeft >= 0 ? name : nil)
            }
            return HostedCall(item: type + "_call", billed: type == "file_search" ? type : nil)
        }
    }

    /// A function is called when the choice demands it, or when the last item is a user's who asks for a
    /// call.
    private static func calledFunction(_ tree: JSONTree) -> JSONTree? {
        let functions = (tree["tools"].elements ?? []).filter { $0["type"].text == "function" }
        if let name = tree["tool_choice"]["name"].text { return functions.first { $0["name"].text == name } }
        if tree["tool_choice"].text == "required" { return functions.first }
        guard tree["tool_choice"].text != "none" else { return nil }
        let last = tree["input"].elements?.last ?? tree["input"]
        let fromUser = last.text != nil || last["role"].text == "user"
        return fromUser && last.json.contains("call") ? functions.first : nil
    }

    /// Fees by name, for the log.
    var units: ByteBuffer? {
        let names = calls.compactMap(\.billed)
        guard !names.isEmpty else { return nil }
        let members = Set(names).sorted().map { name in "\"\(name)\":\(names.count { $0 == name })" }
        return ByteBuffer(string: "{" + members.joined(separator: ",") + "}")
    }

    var billedSearches: Int { calls.count { $0.billed?.hasPrefix("web_search") == true } }
}
