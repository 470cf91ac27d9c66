import Hummingbird
import Metering
import Synchronization

/// Requests to the control plane by route, as it is declared: names of users and days are not among the labels.
public final class ControlMetrics: MetricSource {
    private struct Answer: Hashable {
        var route: String
        var status: Int
        var cause: AnswerCause.Value?
    }

    private struct State {
        var answers: [Answer: Int] = [:]
        var times: [String: TimeHistogram] = [:]
    }

    private let state = Mutex(State())

    private static let bounds: [Int64] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000].map { $0 * 1000 }

    public init() {}

    /// - Parameter route: as Hummingbird names it; what no route matches has a name without a slash.
    func add(_ route: String?, status: Int, cause: AnswerCause.Value? = nil, took: Duration) {
        let route = route.flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "none"
        self.state.withLock { state in
            state.answers[Answer(route: route, status: status, cause: cause), default: 0] += 1
            state.times[route, default: TimeHistogram(boundsMicroseconds: Self.bounds)]
                .add(nanoseconds: took.nanoseconds)
        }
    }

    public func samples() -> [MetricSample] {
        let state = self.state.withLock { $0 }
        let answers = state.answers.map { answer, count in
            MetricSample(
                "billing_requests_total", help: "Answers of the control plane.", kind: .counter,
                labels: [.init("route", answer.route), .init("status", String(answer.status))]
                    // To Prometheus no label and an empty one are the same.
                    + (answer.cause.map { [.init("cause", $0.rawValue)] } ?? []), count: count)
        }
        return answers
            + state.times.flatMap { route, times in
                times.samples(
                    "billing_request_seconds", help: "Time until the control plane had an answer.",
                    labels: [.init("route", route)])
            }
    }
}

/// Outermost of the middleware, so that what it measures is what a client waits for.
struct MeasuredReplies: RouterMiddleware {
    typealias Context = ControlContext

    let metrics: ControlMetrics

    func handle(
        _ request: Request, context: ControlContext, next: (Request, ControlContext) async throws -> Response
    ) async throws -> Response {
        let began = ContinuousClock.now
        let response = try await next(request, context)
        self.metrics.add(
            context.endpointPath, status: response.status.code, cause: context.cause.value,
            took: ContinuousClock.now - began)
        return response
    }
}

/// Why an answer is what it is, where its status does not say it.
final class AnswerCause: Sendable {
    /// A metric label.
    enum Value: String, Sendable {
        /// An operator pulled a switch, or left it off.
        case switchedOff = "switched_off"
    }

    private let state = Mutex<Value?>(nil)

    var value: Value? { self.state.withLock { $0 } }

    func note(_ error: APIError) {
        if error.isSwitchedOff { self.state.withLock { $0 = .switchedOff } }
    }
}

extension Duration {
    fileprivate var nanoseconds: Int64 {
        let (seconds, attoseconds) = self.components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
