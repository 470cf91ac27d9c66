import NIOCore

/// Which reply a request gets.
extension ConnectionHandler {
    func route(_ request: MockRequest) {
        guard let bearer = request.bearer else { return fail(.noKey) }
        if let required = shared.requiredKey, !bearer.readableBytesView.elementsEqual(required) {
            return fail(.wrongKey)
        }
        let path = request.path.readableBytesView
        if path.elementsEqual("/v1/chat/completions".utf8) {
            guard request.method == .post else { return fail(Self.wrongMethod) }
            return chat(request)
        }
        if request.method == .get, path.starts(with: "/v1/responses/".utf8) {
            return storedResponse(path.dropFirst(14))
        }
        if let endpoint = MockEndpoint(path: path) {
            guard request.method == .post else { return fail(Self.wrongMethod) }
            return serve(endpoint, request)
        }
        guard path.starts(with: "/v1/models".utf8) else { return fail(Self.unknownURL) }
        guard request.method == .get else { return fail(Self.wrongMethod) }
        if path.count == 10 { return models() }
        guard path[path.startIndex + 10] == UInt8(ascii: "/") else { return fail(Self.unknownURL) }
        model(path.dropFirst(11))
    }

    private static let wrongMethod = ErrorBody(405, "Not allowed to use this method on this URL.")
    private static let unknownURL = ErrorBody(404, "Invalid URL.", code: "unknown_url")

    private func models() {
        var body = ByteBuffer(staticString: "{\n  \"object\": \"list\",\n  \"data\": [")
        for (index, name) in shared.catalogue.listed.enumerated() {
            body.writeStaticString(index == 0 ? "\n" : ",\n")
            Self.writeModel(name.utf8, into: &body)
        }
        body.writeStaticString("\n  ]\n}\n")
        reply(200, body)
    }

    private func model(_ name: some Collection<UInt8>) {
        let plain = name.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }
        let bytes = ByteBuffer(bytes: plain ? Array(name) : Array("?".utf8))
        guard shared.catalogue.model(bytes) != nil else { return fail(.unknownModel(bytes)) }
        var body = ByteBuffer()
        Self.writeModel(bytes.readableBytesView, into: &body)
        body.writeStaticString("\n")
        reply(200, body)
    }

    private static func writeModel(_ name: some Sequence<UInt8>, into body: inout ByteBuffer) {
        body.writeStaticString("    {\n      \"id\": \"")
        body.writeBytes(name)
        body.writeStaticString(
            """
            ",\n      "object": "model",\n      "created": 1715367049,\n      "owned_by": \
            "system"\n    }
            """
        )
    }

    /// How the request is to be answered, by its directives; nil: it was answered, or never will be.
    func behaviour(of request: MockRequest) -> Behaviour? {
        guard let arrival = exchange?.row.arrival else { return nil }
        var behaviour = shared.configuration.behaviour
        behaviour.faults.formUnion(shared.randomFault(arrival: arrival))
        do throws(Behaviour.BadDirective) {
            if let words = request.directives { try behaviour.apply(words.readableBytesView) }
            try ReplySeed.applyDirectives(in: request.body, to: &behaviour)
        } catch {
            fail(.badDirective(error))
            return nil
        }
        exchange?.row.faults = behaviour.faults
        if behaviour.faults.contains(.cutHead) {
            finish(completed: false, .close)
        } else if behaviour.faults.contains(.stallHead) {
            phase = .stalled
        } else if behaviour.faults.contains(.earlyError) {
            fail(.tooEarly, ending: .linger)
        } else {
            return behaviour
        }
        return nil
    }

    private func chat(_ request: MockRequest) {
        guard let behaviour = behaviour(of: request) else { return }
        let parsed: ChatRequest
        do throws(JSONCursor.Malformed) {
            parsed = try ChatRequest(body: request.body)
        } catch {
            return fail(.badJSON)
        }
        if shared.log.isOn { note(parsed) }
        if let error = ErrorBody(behaviour.faults, stream: parsed.stream) { return fail(error) }
        switch check(parsed) {
        case .failure(let refusal): fail(refusal.body)
        case .success(let model): answer(parsed, model, behaviour)
        }
    }

    private func note(_ request: ChatRequest) {
        exchange?.row.model = request.model
        exchange?.row.stream = request.stream
        exchange?.row.choices = request.choices
        exchange?.row.cap = request.cap
        exchange?.row.includeUsage = request.includeUsage
        exchange?.row.requestedTier = request.serviceTier
    }

    private struct Refused: Error { let body: ErrorBody }

    private func check(_ request: ChatRequest) -> Result<ModelCatalogue.Model, Refused> {
        func refused(_ body: ErrorBody) -> Result<ModelCatalogue.Model, Refused> {
            .failure(Refused(body: body))
        }
        if let name = request.wrongParameter {
            return refused(
                ErrorBody(
                    400, parts: [.text("Invalid value for '"), .text(name), .text("'.")], parameter: name,
                    code: "invalid_value"))
        }
        guard let name = request.model else {
            return refused(ErrorBody(400, "you must provide a model parameter"))
        }
        guard let messages = request.messageCount else {
            return refused(
                ErrorBody(
                    400, "Missing required parameter: 'messages'.", parameter: "messages",
                    code: "missing_required_parameter"))
        }
        guard messages > 0 else {
            return refused(
                ErrorBody(
                    400, "Invalid 'messages': empty array. Expected an array with minimum length 1.",
                    parameter: "messages", code: "empty_array"))
        }
        guard let model = shared.catalogue.model(name) else { return refused(.unknownModel(name)) }
        if model.isOSeries, request.maxTokens != nil {
            return refused(
                ErrorBody(
                    400,
                    """
                    Unsupported parameter: 'max_tokens' is not supported with this model. \
                    Use 'max_completion_tokens' instead.
                    """,
                    parameter: "max_tokens", code: "unsupported_parameter"))
        }
        if request.maxTokens != nil, request.maxCompletionTokens != nil {
            return refused(
                ErrorBody(
                    400,
                    "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
                    parameter: "max_tokens", code: "invalid_parameter_combination"))
        }
        return .success(model)
    }

    private func answer(_ request: ChatRequest, _ model: ModelCatalogue.Model, _ behaviour: Behaviour) {
        guard let identity = exchange?.row.requestID else { return }
        let plan = ReplyPlan(
            request, model: model, behaviour: behaviour, defaultTier: shared.defaultTier, created: date.now(),
            identity: identity)
        if shared.log.isOn {
            exchange?.row.servedModel = plan.model
            exchange?.row.servedTier = plan.tier
        }
        start(plan)
    }

    /// Answers with `plan`, once the time to its first byte is over.
    func start(_ plan: any PlannedReply) {
        guard let context else { return }
        let behaviour = plan.behaviour
        exchange?.plan = plan
        exchange?.row.units = plan.units
        var nanoseconds = Int64(behaviour.firstTokenMilliseconds) * 1_000_000
        if !plan.stream, behaviour.tokensPerSecond > 0 {
            nanoseconds += Int64(min(Double(plan.deltasTotal) / behaviour.tokensPerSecond * 1e9, 1e17))
        }
        guard nanoseconds > 0 else { return plan.stream ? startStream(plan) : replyWhole(plan) }
        phase = .delayed
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(nanoseconds)) {
            self.timer = nil
            guard self.phase == .delayed else { return }
            plan.stream ? self.startStream(plan) : self.replyWhole(plan)
        }
    }
}
