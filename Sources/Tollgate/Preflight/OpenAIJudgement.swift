import StripeAPI

/// Whether OpenAI takes the key; pure.
enum OpenAIJudgement {
    /// - Parameters:
    ///   - base: who was asked.
    ///   - status: of `GET /v1/models`; nil: no reply.
    static func key(_ base: String, status: Int?, failure: String = "") -> PreflightLine {
        let check = "openai-key"
        switch status {
        case 200: return .ok(check, "\(base) takes OPENAI_API_KEY (asked once: GET /models)")
        case 401, 403:
            return .failed(check, "\(base) refuses OPENAI_API_KEY with \(status ?? 0) (GET /models)")
        case .some(let status): return .failed(check, "\(base) answers GET /models with \(status)")
        case nil: return .failed(check, "\(base) cannot be asked: \(failure)")
        }
    }

    static let offline = PreflightLine.warning("openai-key", "OPENAI_API_KEY was not tried (--offline)")
    static let behindProxy = PreflightLine.warning(
        "openai-key", "OPENAI_API_KEY was not tried: OpenAI is reached through a proxy")
}

/// One request that costs nothing, with the key.
enum OpenAIKeyTrial {
    static func run(base text: String, key: Secret, authoritiesFile: String?) async -> PreflightLine {
        guard let base = try? OutboundBase(parsing: text) else {
            return OpenAIJudgement.key(
                text, status: nil, failure: "OPENAI_BASE_URL is not a URL for a secret")
        }
        var outbound = OutboundHTTP.Configuration()
        outbound.threads = 1
        outbound.authoritiesFile = authoritiesFile
        let http = OutboundHTTP(outbound)
        defer { http.shutDown() }
        let request = OutboundRequest(
            .get, base, target: "/models", headers: [.init("Authorization", "Bearer " + key.value)],
            timeout: .seconds(20))
        do throws(OutboundFailure) {
            return OpenAIJudgement.key(text, status: try await http.send(request).status)
        } catch {
            return OpenAIJudgement.key(text, status: nil, failure: error.label)
        }
    }
}
