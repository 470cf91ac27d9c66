import ControlPlane
import HTTPTypes
import Hummingbird
import NIOCore
import Proxy

/// Joins the data plane's listener and the control plane's router: a request that is not the data plane's is
/// answered by a function call (DESIGN §3.1).
struct InProcessControlPlane: ControlPlaneResponding {
    let responder: InProcessResponder

    func respond(to call: ControlRequest, writer: any ControlResponseWriting) async throws {
        let response = await self.responder.respond(
            method: call.method, target: call.target, fields: call.fields.map { ($0.name, $0.value) },
            body: call.body, channel: call.channel)
        try await writer.head(
            ControlResponseHead(
                status: response.status.code, reason: response.status.reasonPhrase,
                fields: response.headers.map { (name: $0.name.rawName, value: $0.value) }))
        try await response.body.write(BodyWriter(writer: writer))
    }

    private struct BodyWriter: ResponseBodyWriter {
        let writer: any ControlResponseWriting

        mutating func write(_ buffer: ByteBuffer) async throws { try await self.writer.body(buffer) }
        consuming func finish(_ trailers: HTTPFields?) async throws {}
    }
}
