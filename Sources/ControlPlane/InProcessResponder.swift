import HTTPTypes
import Hummingbird
import Logging
import Metering
import NIOCore

/// Calls the control plane as a function, for requests that came to the data plane's listener (DESIGN §3.1).
///
/// Stands in for what `Application` does around a router: request ids in the logger, bodiless replies to
/// HEAD, `content-length` wherever the length is known. Date, connection fields and transfer coding belong to
/// the hop and are the caller's; a reply without `content-length` is to be sent chunked.
public struct InProcessResponder: Sendable {
    private let responder: RouterResponder<ControlContext>
    private let logger: Logger

    public init(_ router: Router<ControlContext>, logger: Logger) {
        self.responder = router.buildResponder()
        self.logger = logger
    }

    /// Answers one request, whole and already validated as HTTP; never fails.
    ///
    /// - Parameters:
    ///   - target: raw, as it stood in the request line.
    ///   - fields: in the order of arrival.
    ///   - channel: the client's connection; only looked at.
    ///   - client: the address of whom the request is, when that is not the connection's.
    public func respond(
        method: String, target: String, fields: [(String, String)], body: ByteBuffer, channel: any Channel,
        client: String? = nil
    ) async -> Response {
        var logger = self.logger
        let id = RequestID().description
        logger[metadataKey: "hb.request.id"] = .string(id)
        if let trace = Self.trace(fields) { logger[metadataKey: "trace_id"] = .string(trace) }
        guard let request = Self.request(method: method, target: target, fields: fields, body: body) else {
            return Self.outsideRouter(
                APIError(
                    status: .badRequest, message: "The request cannot be read.", code: "invalid_request"),
                id)
        }
        var context = ControlContext(
            source: ApplicationRequestContextSource(channel: channel, logger: logger))
        if let client { context.address = client }
        do {
            return try await self.responder.respond(to: request, context: context)
        } catch {
            logger.error("control plane failed", metadata: ["error": "\(type(of: error))"])
            let response = Self.outsideRouter(.internalError, id)
            return request.method == .head ? response.createHeadResponse() : response
        }
    }

    private static func trace(_ fields: [(String, String)]) -> String? {
        let given = fields.filter { $0.0.lowercased() == "traceparent" }
        return given.count == 1 ? TraceContext(traceparent: given[0].1)?.traceID : nil
    }

    private static func outsideRouter(_ error: APIError, _ id: String) -> Response {
        var response = error.response
        response.headers[.tollgateRequestID] = id
        response.headers[.contentTypeOptions] = "nosniff"
        response.headers[.cacheControl] = "no-store"
        return response
    }

    /// nil: a method or a field name that is no token.
    private static func request(
        method: String, target: String, fields: [(String, String)], body: ByteBuffer
    ) -> Request? {
        guard let method = HTTPRequest.Method(method) else { return nil }
        var head = HTTPRequest(method: method, scheme: "http", authority: nil, path: target)
        for (rawName, value) in fields {
            guard let name = HTTPField.Name(rawName) else { return nil }
            if name.canonicalName == "host" {
                head.authority = value
            } else {
                head.headerFields.append(HTTPField(name: name, value: value))
            }
        }
        return Request(head: head, body: RequestBody(buffer: body))
    }
}
