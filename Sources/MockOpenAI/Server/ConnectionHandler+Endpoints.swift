import NIOCore

/// The endpoints besides chat completions.
extension ConnectionHandler {
    func serve(_ endpoint: MockEndpoint, _ request: MockRequest) {
        guard let behaviour = behaviour(of: request) else { return }
        let parsed: EndpointRequest
        do throws(JSONCursor.Malformed) {
            parsed = try EndpointRequest(endpoint, body: request.body)
        } catch {
            return fail(.badJSON)
        }
        if shared.log.isOn { note(parsed) }
        if let error = ErrorBody(behaviour.faults, stream: parsed.stream) { return fail(error) }
        if let refusal = parsed.refusal() { return fail(refusal) }
        let name = ByteBuffer(string: parsed.model)
        guard let model = shared.catalogue.model(name) else { return fail(.unknownModel(name)) }
        guard let identity = exchange?.row.requestID else { return }
        let facts = ReplyFacts(
            parsed, model: model, behaviour: behaviour, defaultTier: shared.defaultTier, created: date.now(),
            identity: identity)
        guard let reply = reply(facts) else { return }
        if shared.log.isOn {
            exchange?.row.servedModel = ByteBuffer(string: facts.servedModel)
            if endpoint == .responses { exchange?.row.servedTier = ByteBuffer(string: facts.tier) }
        }
        start(reply)
    }

    private func note(_ request: EndpointRequest) {
        exchange?.row.model = ByteBuffer(string: request.model)
        exchange?.row.stream = request.stream
        exchange?.row.choices = request.choices
        exchange?.row.cap = request.cap
        exchange?.row.includeUsage = request.tree["stream_options"]["include_usage"].isTrue
        exchange?.row.requestedTier = request.tree["service_tier"].text.map { ByteBuffer(string: $0) }
        exchange?.row.maxToolCalls = request.tree["max_tool_calls"].integer
    }

    private func reply(_ facts: ReplyFacts) -> ScriptedReply? {
        switch facts.request.endpoint {
        case .responses: return response(facts)
        case .completions: return facts.completions()
        case .embeddings: return facts.embeddings()
        case .moderations: return facts.moderations()
        case .images: return facts.images()
        case .speech: return facts.speech()
        case .transcriptions: return facts.transcriptions()
        }
    }

    private func response(_ facts: ReplyFacts) -> ScriptedReply? {
        var earlier = 0
        if let previous = facts.tree["previous_response_id"].text {
            guard let tokens = shared.responses.tokens(of: previous) else {
                fail(
                    ErrorBody(
                        400, parts: Self.notFound("Previous response", previous),
                        parameter: "previous_response_id",
                        code: "previous_response_not_found"))
                return nil
            }
            earlier = tokens
        }
        let made = facts.responses(earlierTokens: earlier)
        if case .flag(false) = facts.tree["store"] { return made.reply }
        let counts = made.reply.counts ?? TokenCounts(prompt: 0, completion: 0)
        shared.responses.store(made.identifier, made.stored, tokens: counts.prompt + counts.completion)
        return made.reply
    }

    /// `GET /v1/responses/{id}`.
    func storedResponse(_ identifier: some Collection<UInt8>) {
        let identifier = String(decoding: identifier, as: UTF8.self)
        guard let body = shared.responses.body(of: identifier) else {
            return fail(ErrorBody(404, parts: Self.notFound("Response", identifier)))
        }
        reply(200, body)
    }

    /// In OpenAI's words; of the id only what need not be escaped.
    private static func notFound(_ what: StaticString, _ identifier: String) -> [ErrorBody.Part] {
        let plain = identifier.filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") }
        return [
            .text(what), .text(" with id '"), .raw(ByteBuffer(string: plain)), .text("' not found."),
        ]
    }
}
