/// From a request to its answer: fault, key, route, parameters, idempotency, effect, expansion.
extension StripeWorld {
    /// Times are milliseconds since 1970 everywhere.
    public mutating func receive(_ request: APIRequest, at milliseconds: Int) -> Reception {
        self.tick(milliseconds)
        self.cause = (self.identifiers.next("req_", length: 14), request.key)
        defer { self.cause = nil }
        if let failure = self.unauthorized(request) {
            return .answer(self.finish(request, .failure(failure), fault: nil))
        }
        guard let fault = self.takeFault(for: request) else {
            return .answer(self.execute(request, fault: nil))
        }
        switch fault.kind {
        case .hang, .cut:
            self.note(request, status: 0, fault: fault.kind)
            return fault.kind == .hang ? .hang : .cut
        case .hangAfter, .cutAfter:
            _ = self.execute(request, fault: fault.kind)
            return fault.kind == .hangAfter ? .hang : .cut
        case .error500After:
            _ = self.execute(request, fault: fault.kind)
            return .answer(self.reply(to: request, fault.refusal?.status ?? 500, fault.refusal?.json ?? nil))
        case .proxyPageAfter:
            _ = self.execute(request, fault: fault.kind)
            return .answer(APIReply(status: 403, body: ["error": "blocked by the filter of this network"]))
        case .slow: return self.hold(request, milliseconds: fault.milliseconds)
        case .error500, .rateLimit, .lockTimeout, .conflict:
            let failure = fault.refusal ?? .keyInUse(request.key ?? "")
            return .answer(self.finish(request, .failure(failure), fault: fault.kind))
        }
    }

    /// After `Reception.wait`.
    public mutating func resume(_ ticket: Int, at milliseconds: Int) -> APIReply {
        self.tick(milliseconds)
        guard let request = self.waiting.removeValue(forKey: ticket) else {
            return APIReply(status: 500, body: ["error": ["message": "unknown ticket"]])
        }
        self.cause = (self.identifiers.next("req_", length: 14), request.key)
        defer { self.cause = nil }
        if let key = request.key { self.idempotency.finish(key, nil) }
        return self.execute(request, fault: .slow)
    }

    /// A slow request has its key from the start, so that the same request meets a 409.
    private mutating func hold(_ request: APIRequest, milliseconds: Int) -> Reception {
        if let key = request.key, let parameters = request.parameters {
            switch self.idempotency.begin(key, request.path, parameters, now: self.now) {
            case .execute: break
            case .replay, .refuse: return .answer(self.execute(request, fault: .slow))
            }
        }
        let ticket = (self.waiting.keys.max() ?? 0) + 1
        self.waiting[ticket] = request
        return .wait(milliseconds: milliseconds, ticket: ticket)
    }

    private mutating func execute(_ request: APIRequest, fault: CallFault.Kind?) -> APIReply {
        guard let key = request.key, let parameters = request.parameters else {
            return self.finish(request, self.effect(of: request), fault: fault)
        }
        switch self.idempotency.begin(key, request.path, parameters, now: self.now) {
        case .refuse(let failure): return self.finish(request, .failure(failure), fault: fault)
        case .replay(var reply):
            reply.headers.append(.init(name: "Idempotent-Replayed", value: "true"))
            self.note(request, status: reply.status, fault: fault, reply: reply, replayed: true)
            return reply
        case .execute:
            let effect = self.effect(of: request)
            let reply = self.finish(request, effect, fault: fault)
            var began = true
            if case .failure(let failure) = effect { began = failure.began }
            self.idempotency.finish(key, began ? reply : nil)
            return reply
        }
    }

    private mutating func effect(of request: APIRequest) -> Result<JSON, StripeFailure> {
        do throws(StripeFailure) {
            guard let (route, captured) = Route.find(request, in: Route.api) else {
                throw .unrecognized(request.method, request.path)
            }
            guard let form = request.parameters else { throw .invalid("Invalid request body", nil) }
            try ParameterShape.fields(route.shape).check(form, "")
            let parameters = Parameters(value: form)
            let paths = try parameters.texts("expand").map { (path) throws(StripeFailure) in
                try ExpansionPath(path)
            }
            let call = Route.Call(parameters: parameters, captured: captured, path: request.path)
            // Expanded only now, from the world as the action left it.
            let body = try route.action(&self, call)
            return .success(self.expand(body, paths))
        } catch {
            return .failure(error)
        }
    }

    private mutating func finish(
        _ request: APIRequest, _ effect: Result<JSON, StripeFailure>, fault: CallFault.Kind?
    ) -> APIReply {
        let reply =
            switch effect {
            case .success(let body): self.reply(to: request, 200, body)
            case .failure(let failure): self.reply(to: request, failure.status, failure.json)
            }
        self.note(request, status: reply.status, fault: fault, reply: reply)
        return reply
    }

    private func reply(to request: APIRequest, _ status: Int, _ body: JSON) -> APIReply {
        var headers: [APIReply.Header] = [
            .init(name: "Request-Id", value: self.cause?.request ?? "req_none"),
            .init(name: "Stripe-Version", value: request.version ?? self.settings.apiVersion),
        ]
        if let key = request.key { headers.append(.init(name: "Idempotency-Key", value: key)) }
        // Stripe does not ask for another try of what exceeded a rate.
        let retries = status == 409 || status >= 500 || body["error"]?["code"] == "lock_timeout"
        if retries {
            headers.append(.init(name: "Stripe-Should-Retry", value: "true"))
        }
        return APIReply(status: status, headers: headers, body: body)
    }

    private mutating func takeFault(for request: APIRequest) -> CallFault? {
        guard let place = self.callFaults.firstIndex(where: { $0.fits(request) }) else { return nil }
        self.callFaults[place].callsLeft -= 1
        let fault = self.callFaults[place]
        if fault.callsLeft == 0 { self.callFaults.remove(at: place) }
        return fault
    }

    private func unauthorized(_ request: APIRequest) -> StripeFailure? {
        guard let given = request.presentedKey, !given.isEmpty else {
            return StripeFailure(
                status: 401,
                message:
                    "You did not provide an API key. You need to provide your API key in the Authorization "
                    + "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
                began: false)
        }
        let fits =
            if let key = self.settings.key { given == key } else {
                given.hasPrefix("sk_test_") || given.hasPrefix("rk_test_")
            }
        guard !fits else { return nil }
        return StripeFailure(
            status: 401, message: "Invalid API Key provided: \(given.prefix(8))****\(given.suffix(4))",
            began: false)
    }

    /// Requests are logged without their key.
    private mutating func note(
        _ request: APIRequest, status: Int, fault: CallFault.Kind?, reply: APIReply? = nil,
        replayed: Bool = false
    ) {
        self.log.add(call: [
            "seq": .int(self.log.calls.count + 1), "at_ms": .int(self.now), "method": .text(request.method),
            "path": .text(request.path), "params": request.parameters?.json ?? nil,
            "idempotency_key": JSON(request.idempotencyKey), "stripe_version": JSON(request.version),
            "status": .int(status), "fault": JSON(fault?.rawValue), "replayed": .bool(replayed),
            "request_id": JSON(reply?.header("Request-Id")), "object_id": reply?.body["id"] ?? nil,
            "error_code": reply?.body["error"]?["code"] ?? nil,
        ])
    }
}

extension APIRequest {
    /// Keys of GET requests mean nothing.
    var key: String? { self.method == "POST" ? self.idempotencyKey : nil }
}
