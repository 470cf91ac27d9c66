/// Writes the response object, and the items of its output.
struct ResponseObject {
    let plan: ResponsePlan
    private var facts: ReplyFacts { plan.facts }

    var identifier: String { "resp_" + facts.identity }
    private func item(_ prefix: String, _ index: Int) -> String { "\(prefix)_\(index)\(facts.identity)" }

    /// One item of the output: as it is when it begins, and when it is done.
    struct Item {
        enum Kind: Equatable { case reasoning, call(billed: Bool), function, message }
        let kind: Kind
        let id: String
        let type: String
        let begun: String
        let done: String
    }

    func items() -> [Item] {
        var items: [Item] = []
        if plan.counts.reasoning > 0 {
            let json = "{\"id\":\"\(item("rs", 0))\",\"type\":\"reasoning\",\"summary\":[]}"
            items.append(
                Item(kind: .reasoning, id: item("rs", 0), type: "reasoning", begun: json, done: json))
        }
        for call in plan.calls { items.append(self.call(call, items.count)) }
        items.append(plan.function.map { function($0, items.count) } ?? message(items.count))
        return items
    }

    private func call(_ call: ResponsePlan.HostedCall, _ index: Int) -> Item {
        let id = item(call.item == "file_search_call" ? "fs" : "ws", index)
        func json(_ status: String, _ more: String) -> String {
            "{\"id\":\"\(id)\",\"type\":\"\(call.item)\",\"status\":\"\(status)\"\(more)}"
        }
        let isBilled = call.billed != nil
        let done =
            switch call.item {
            case "web_search_call" where isBilled:
                ",\"action\":{\"type\":\"search\",\"query\":\"tok\",\"sources\":[]}"
            case "web_search_call":
                ",\"action\":{\"type\":\"open_page\",\"url\":\"https://example.com/mock\"}"
            case "file_search_call": ",\"queries\":[\"tok\"],\"results\":null"
            default: ""
            }
        return Item(
            kind: .call(billed: isBilled), id: id, type: call.item, begun: json("in_progress", ""),
            done: json("completed", done))
    }

    private func function(_ name: String, _ index: Int) -> Item {
        let id = item("fc", index)
        func json(_ status: String, _ arguments: String) -> String {
            """
            {"id":"\(id)","type":"function_call","status":"\(status)","arguments":"\(arguments)",\
            "call_id":"call_\(facts.identity.prefix(24))","name":"\(name)"}
            """
        }
        return Item(
            kind: .function, id: id, type: "function_call", begun: json("in_progress", ""),
            done: json(plan.status == .completed ? "completed" : "incomplete", plan.pieces.joined()))
    }

    private func message(_ index: Int) -> Item {
        let id = item("msg", index)
        func json(_ status: String, _ content: String) -> String {
            """
            {"id":"\(id)","type":"message","status":"\(status)","content":[\(content)],"role":"assistant"}
            """
        }
        return Item(
            kind: .message, id: id, type: "message", begun: json("in_progress", ""),
            done: json(plan.status == .completed ? "completed" : "incomplete", part(plan.pieces.joined())))
    }

    var annotations: String {
        plan.billedSearches == 0
            ? ""
            : """
            {"type":"url_citation","start_index":0,"end_index":3,"title":"Mock",\
            "url":"https://example.com/mock"}
            """
    }

    func part(_ text: String) -> String {
        let shown = text.isEmpty ? "" : annotations
        return "{\"type\":\"output_text\",\"annotations\":[\(shown)],\"logprobs\":[],\"text\":\"\(text)\"}"
    }

    /// The whole object. `status` is `in_progress`, or how it ends.
    func json(status: String, output: [Item], usage: String) -> String {
        let tree = facts.tree
        let error =
            status == "failed"
            ? "{\"code\":\"server_error\",\"message\":\"The model failed to generate a response.\"}" : "null"
        let reason = plan.isCutByCap ? "max_output_tokens" : "content_filter"
        let incomplete = status == "incomplete" ? "{\"reason\":\"\(reason)\"}" : "null"
        let told =
            status != "in_progress" && facts.behaviour.tellsToolUsage
                && plan.calls.contains { $0.item == "web_search_call" }
            ? ",\"tool_usage\":{\"web_search\":{\"num_requests\":\(plan.billedSearches)}}" : ""
        return """
            {"id":"\(identifier)","object":"response","created_at":\(facts.created),"status":"\(status)",\
            "background":false,"error":\(error),"incomplete_details":\(incomplete),\
            "instructions":\(tree["instructions"].json),\
            "max_output_tokens":\(tree["max_output_tokens"].json),\
            "max_tool_calls":\(tree["max_tool_calls"].json),"model":"\(facts.servedModel)",\
            "output":[\(output.map(\.done).joined(separator: ","))],\
            "parallel_tool_calls":\(given("parallel_tool_calls", "true")),\
            "previous_response_id":\(tree["previous_response_id"].json),\
            "reasoning":\(given("reasoning", "{\"effort\":null,\"summary\":null}")),\
            "service_tier":"\(facts.tier)","store":\(given("store", "true")),\
            "temperature":\(given("temperature", "1.0")),\
            "text":\(given("text", "{\"format\":{\"type\":\"text\"}}")),\
            "tool_choice":\(given("tool_choice", "\"auto\"")),"tools":\(given("tools", "[]")),\
            "top_p":\(given("top_p", "1.0")),"truncation":"disabled"\(usage),"user":null,\
            "metadata":\(given("metadata", "{}"))\(told)}
            """
    }

    private func given(_ name: String, _ otherwise: String) -> String {
        facts.tree[name].isGiven ? facts.tree[name].json : otherwise
    }
}
