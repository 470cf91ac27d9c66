import ControlPlane
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Proxy
import Synchronization

/// Joins the data plane's listener and the control plane's router: a request that is not the data plane's is
/// answered by a function call (DESIGN §3.1). The router is replaced when its secrets change.
final class ReloadableControlPlane: ControlPlaneResponding, Sendable {
    private let logger: Logger
    private let responder = Mutex<InProcessResponder?>(nil)

    struct NotYet: Error {}

    init(logger: Logger) { self.logger = logger }

    /// Requests that begin from now on go through this router.
    func use(_ router: Router<ControlContext>) {
        let responder = InProcessResponder(router, logger: self.logger)
        self.responder.withLock { $0 = responder }
    }

    func respond(to call: ControlRequest, writer: any ControlResponseWriting) async throws {
        // The listener starts after the first router is in place.
        guard let responder = self.responder.withLock({ $0 }) else { throw NotYet() }
        let response = await responder.respond(
            method: call.method, target: call.target, fields: call.fields.map { ($0.name, $0.value) },
            body: call.body, channel: call.channel, client: call.client)
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
