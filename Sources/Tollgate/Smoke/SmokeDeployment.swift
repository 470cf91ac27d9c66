import StripeAPI

/// Why a check is not green. Its text never holds a secret or a body.
enum SmokeStop: Error, Sendable, Hashable {
    case failed(String)
    case skipped(String)
    /// No reply at all.
    case unreachable(String)
}

/// The deployment under test, over HTTP.
struct SmokeDeployment: Sendable {
    enum Caller: Sendable {
        case nobody
        case admin
        /// The service key, for this user.
        case user(String)
    }

    let http: OutboundHTTP
    let base: OutboundBase
    let adminToken: Secret
    let serviceKey: Secret

    func get(
        _ path: String, as caller: Caller, _ headers: [OutboundRequest.Header] = []
    ) async throws -> OutboundReply {
        try await self.send(.get, path, caller, headers, [])
    }

    func post(
        _ path: String, as caller: Caller, _ body: String, _ headers: [OutboundRequest.Header] = []
    ) async throws -> OutboundReply {
        let type = OutboundRequest.Header("Content-Type", "application/json")
        return try await self.send(.post, path, caller, [type] + headers, Array(body.utf8))
    }

    /// The JSON of a reply that must have this status.
    func json(_ reply: OutboundReply, _ what: String, status: Int = 200) throws -> JSONReading {
        guard reply.status == status else { throw SmokeStop.failed("\(what) \(Self.answered(reply))") }
        guard let json = JSONReading(parsing: reply.body) else {
            throw SmokeStop.failed("\(what) answered something that is not JSON")
        }
        return json
    }

    /// `answered 503 (holds_unavailable)`; the code is shown only where it is a word.
    static func answered(_ reply: OutboundReply) -> String {
        let json = JSONReading(parsing: reply.body)
        let code = json?["code"]?.text ?? json?["error"]?["code"]?.text
        guard let code, code.utf8.count <= 64,
            code.utf8.allSatisfy({ 0x61...0x7a ~= $0 || 0x30...0x39 ~= $0 || $0 == 0x5f })
        else { return "answered \(reply.status)" }
        return "answered \(reply.status) (\(code))"
    }

    private func send(
        _ method: OutboundRequest.Method, _ path: String, _ caller: Caller,
        _ headers: [OutboundRequest.Header], _ body: [UInt8]
    ) async throws -> OutboundReply {
        let request = OutboundRequest(
            method, self.base, target: path, headers: self.credentials(caller) + headers, body: body)
        do throws(OutboundFailure) {
            return try await self.http.send(request)
        } catch {
            let place = path.prefix { $0 != "?" }
            throw SmokeStop.unreachable("no reply of \(place): \(error.label)")
        }
    }

    private func credentials(_ caller: Caller) -> [OutboundRequest.Header] {
        switch caller {
        case .nobody: []
        case .admin: [.init("Authorization", "Bearer " + self.adminToken.value)]
        case .user(let user):
            [
                .init("Authorization", "Bearer " + self.serviceKey.value), .init("X-Tollgate-User", user),
            ]
        }
    }
}
