/// One operation of the API or of the control paths.
struct Route: Sendable {
    struct Call {
        let parameters: Parameters
        /// What stands in the path where the pattern has `*`.
        let captured: [String]
        /// The path, for lists to name themselves.
        let path: String

        /// Valid when the pattern has a `*`.
        var id: String { self.captured.first ?? "" }
    }

    typealias Action = @Sendable (inout StripeWorld, Call) throws(StripeFailure) -> JSON

    let method: String
    let pattern: String
    let shape: [String: ParameterShape]
    let action: Action

    init(
        _ method: String, _ pattern: String, _ shape: [String: ParameterShape] = [:],
        _ action: @escaping Action
    ) {
        self.method = method
        self.pattern = pattern
        self.shape = shape
        self.action = action
    }

    /// A GET of a list; `filters` besides the parameters of every list.
    static func list(
        _ pattern: String, _ filters: [String: ParameterShape], _ action: @escaping Action
    ) -> Route {
        let paging: [String: ParameterShape] = [
            "limit": .integer, "starting_after": .text, "ending_before": .text, "expand": .list(.text),
        ]
        return Route("GET", pattern, paging.merging(filters) { paging, _ in paging }, action)
    }

    static let expand: [String: ParameterShape] = ["expand": .list(.text)]

    /// The captures when the path fits.
    func match(_ method: String, _ path: String) -> [String]? {
        guard method == self.method else { return nil }
        let wanted = self.pattern.split(separator: "/", omittingEmptySubsequences: false)
        let given = path.split(separator: "/", omittingEmptySubsequences: false)
        guard wanted.count == given.count else { return nil }
        var captured: [String] = []
        for (want, have) in zip(wanted, given) {
            if want == "*", !have.isEmpty {
                captured.append(FormValue.decoded(have))
            } else if want != have {
                return nil
            }
        }
        return captured
    }

    static let api: [Route] =
        sessions + customers + paymentMethods + intents + charges + refunds + disputes + balance + events
        + webhookEndpoints

    static func find(_ request: APIRequest, in routes: [Route]) -> (route: Route, captured: [String])? {
        for route in routes {
            if let captured = route.match(request.method, request.path) { return (route, captured) }
        }
        return nil
    }
}
