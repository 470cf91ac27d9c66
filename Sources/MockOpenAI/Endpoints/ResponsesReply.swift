import NIOCore

extension ReplyFacts {
    /// `/v1/responses`: the object, or the events that build it.
    func responses(earlierTokens: Int) -> (reply: ScriptedReply, identifier: String, stored: String) {
        let plan = ResponsePlan(self, earlierTokens: earlierTokens)
        let object = ResponseObject(plan: plan)
        var reply = ScriptedReply(behaviour, stream: request.stream)
        reply.counts = plan.counts
        reply.visible = plan.pieces.count
        reply.deltasTotal = plan.pieces.count
        reply.errorIsEvent = true
        reply.units = plan.units
        reply.usage = WireUsage.object(.responses, plan.counts.bent(by: faults, cap: request.cap), faults)
        let whole = object.json(
            status: plan.status.rawValue, output: object.items(), usage: WireUsage.member(reply.usage, faults)
        )
        if request.stream {
            var script = ResponseEvents(object)
            reply.events = script.events(final: whole)
        } else {
            reply.body = ByteBuffer(string: whole + "\n")
        }
        return (reply, object.identifier, whole)
    }
}

/// The events of a streamed response, in OpenAI's order and numbered.
struct ResponseEvents {
    private let object: ResponseObject
    private var written: [ScriptedReply.Event] = []

    init(_ object: ResponseObject) { self.object = object }

    private var plan: ResponsePlan { object.plan }

    mutating func events(final: String) -> [ScriptedReply.Event] {
        let begun = object.json(status: "in_progress", output: [], usage: ",\"usage\":null")
        add("response.created", "\"response\":\(begun)")
        add("response.in_progress", "\"response\":\(begun)")
        for (index, item) in object.items().enumerated() {
            add("response.output_item.added", "\"output_index\":\(index),\"item\":\(item.begun)")
            switch item.kind {
            case .reasoning: break
            case .call: call(item, index)
            case .function: function(item, index)
            case .message: message(item, index)
            }
            // What broke off is not done.
            guard plan.status != .failed || item.kind != .message else { continue }
            add("response.output_item.done", "\"output_index\":\(index),\"item\":\(item.done)")
        }
        add("response.\(plan.status.rawValue)", "\"response\":\(final)", .usage)
        return written
    }

    private mutating func call(_ item: ResponseObject.Item, _ index: Int) {
        let place = "\"output_index\":\(index),\"item_id\":\"\(item.id)\""
        add("response.\(item.type).in_progress", place)
        if item.type.contains("search") { add("response.\(item.type).searching", place) }
        add("response.\(item.type).completed", place)
    }

    private mutating func function(_ item: ResponseObject.Item, _ index: Int) {
        let place = "\"item_id\":\"\(item.id)\",\"output_index\":\(index)"
        for piece in plan.pieces {
            add("response.function_call_arguments.delta", "\(place),\"delta\":\"\(piece)\"", .delta)
        }
        guard plan.status != .failed else { return }
        add(
            "response.function_call_arguments.done",
            "\(place),\"name\":\"\(plan.function ?? "")\",\"arguments\":\"\(plan.pieces.joined())\"")
    }

    private mutating func message(_ item: ResponseObject.Item, _ index: Int) {
        let place = "\"item_id\":\"\(item.id)\",\"output_index\":\(index),\"content_index\":0"
        add("response.content_part.added", "\(place),\"part\":\(object.part(""))")
        for piece in plan.pieces {
            add("response.output_text.delta", "\(place),\"delta\":\"\(piece)\",\"logprobs\":[]", .delta)
        }
        guard plan.status != .failed else { return }
        if !object.annotations.isEmpty {
            add(
                "response.output_text.annotation.added",
                "\(place),\"annotation_index\":0,\"annotation\":\(object.annotations)")
        }
        let text = plan.pieces.joined()
        add("response.output_text.done", "\(place),\"text\":\"\(text)\",\"logprobs\":[]")
        add("response.content_part.done", "\(place),\"part\":\(object.part(text))")
    }

    private mutating func add(_ type: String, _ members: String, _ kind: ScriptedReply.Event.Kind = .other) {
        let data = "{\"type\":\"\(type)\",\"sequence_number\":\(written.count),\(members)}"
        written.append(.init(name: type, data: data, kind: kind))
    }
}
