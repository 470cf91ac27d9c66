import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Proxy

/// Calls the Hummingbird router as a function, for requests that came to the data plane's listener (DESIGN
/// §3.1).
struct InProcessControlPlane<Responder: HTTPResponder>: ControlPlaneResponding
where Responder.Context: InitializableFromSource<ApplicationRequestContextSource> {
    let responder: Responder
    let logger: Logger

    func respond(to call: ControlRequest, writer: any ControlResponseWriting) async throws {
        let context = Responder.Context(
            source: ApplicationRequestContextSource(channel: call.channel, logger: self.logger))
        let response: Response
        if let request = Self.request(call) {
            do {
                response = try await self.responder.respond(to: request, context: context)
            } catch {
                self.logger.error("control plane failed", metadata: ["error": "\(type(of: error))"])
                response = Response(status: .internalServerError)
            }
        } else {
            response = Response(status: .badRequest)
        }
        var fields = response.headers.map { (name: $0.name.rawName, value: $0.value) }
        if response.headers[.contentLength] == nil, let length = response.body.contentLength {
            fields.append((name: "content-length", value: String(length)))
        }
        try await writer.head(
            ControlResponseHead(
                status: response.status.code, reason: response.status.reasonPhrase, fields: fields))
        try await response.body.write(BodyWriter(writer: writer))
    }

    private static func request(_ call: ControlRequest) -> Request? {
        guard let method = HTTPRequest.Method(call.method) else { return nil }
        var head = HTTPRequest(method: method, scheme: "http", authority: nil, path: call.target)
        for field in call.fields {
            if field.name.lowercased() == "host" {
                head.authority = field.value
            } else {
                guard let name = HTTPField.Name(field.name) else { return nil }
                head.headerFields.append(HTTPField(name: name, value: field.value))
            }
        }
        return Request(head: head, body: RequestBody(buffer: call.body))
    }

    private struct BodyWriter: ResponseBodyWriter {
        let writer: any ControlResponseWriting

        mutating func write(_ buffer: ByteBuffer) async throws { try await self.writer.body(buffer) }
        consuming func finish(_ trailers: HTTPFields?) async throws {}
    }
}
