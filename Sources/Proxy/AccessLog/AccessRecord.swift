import Metering
import NIOCore

/// What one request was and how it ended: one line of the access log. Values only; no header, query, body, prompt or
/// key is among them, so none can get into a line.
struct AccessRecord {
    /// How an exchange ended. Bounded.
    enum End: String, Sendable, CaseIterable {
        case complete
        /// The reply of an earlier exchange with the same `Idempotency-Key`.
        case replayed
        case refused
        /// Upstream's own refusal of the request, passed on.
        case upstreamRefused = "upstream_refused"
        case upstreamFailed = "upstream_failed"
        case timeout
        /// We could not answer.
        case failed
        case clientGone = "client_gone"
        case shutdown
    }

    /// Milliseconds since 1970.
    var finishedAt: Int64
    var client: ClientAddress
    var transport: ListenerTransport
    /// Of HTTP/1.
    var minorVersion: Int
    var method: String
    /// Without the query.
    var path: String
    var endpoint: DataRoute.Label
    /// As sent, or 499 when the client had gone.
    var status: Int
    var end: End
    var requestBytes: Int
    var responseBytes: Int
    var duration: TimeAmount

    var trace: TraceContext?
    /// Of the control plane.
    var controlRequestID: String?

    // Of the data plane, as far as it came.
    var hold: HoldID?
    var user: String?
    var model: String?
    var stream: Bool?
    var priceID: String?
    var held: Millicredits?
    var charged: Millicredits?
    var waiver: Waiver?
    var inputTokens: Int64?
    var outputTokens: Int64?
    var estimatedBecause: EstimateReason?
    var firstByte: TimeAmount?
    var upstream: TimeAmount?
    var upstreamRequestID: String?
    var upstreamReused: Bool?
    var retried = false
}
