import HTTPTypes
import Hummingbird
import NIOCore

/// A request's connection, to cut it.
struct MockStripeContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        self.coreContext = .init(source: source)
        self.channel = source.channel
    }
}

/// HTTP in, calls of the world, HTTP out.
struct MockStripeResponder: HTTPResponder {
    let shared: SharedWorld
    let hangSeconds: Int

    func respond(to request: Request, context: MockStripeContext) async throws -> Response {
        var request = request
        let body = try await request.collectBody(upTo: 1 << 20)
        let path = request.uri.path
        if path.hasPrefix("/v1/") { return try await self.api(Self.call(request, body), context) }
        if path.hasPrefix("/_mock/") {
            let call = Self.call(request, body)
            return self.shared.control(call).map(Self.response) ?? Self.notFound(call)
        }
        let parts = path.split(separator: "/").map(String.init)
        switch (request.method, parts.count, parts.first) {
        case (.get, 3, "c"): return Self.page(self.shared.checkoutPage(parts[2]))
        case (.post, 3, "c"): return self.press(session: parts[2], form: String(buffer: body))
        case (.get, 2, "receipts"): return Self.page(self.shared.receiptPage(parts[1]))
        default: return Self.notFound(Self.call(request, body))
        }
    }

    private func api(_ call: APIRequest, _ context: MockStripeContext) async throws -> Response {
        switch self.shared.receive(call) {
        case .answer(let reply): return Self.response(reply)
        case .wait(let milliseconds, let ticket):
            try await Task.sleep(for: .milliseconds(milliseconds))
            return Self.response(self.shared.resume(ticket))
        case .hang:
            for _ in 0..<self.hangSeconds * 20 where context.channel.isActive && !self.shared.isStopping {
                try await Task.sleep(for: .milliseconds(50))
            }
        case .cut: break
        }
        // The peer may have closed it first, which is as good.
        try? await context.channel.close()
        return Response(status: .internalServerError)
    }

    private func press(session: String, form: String) -> Response {
        let word = Parameters(value: FormValue(form: form)).text("outcome") ?? ""
        guard let press = StripeWorld.Press(rawValue: word) else {
            return Self.page(
                self.shared.checkoutPage(session, remark: "Unknown button: \(word)"), .badRequest)
        }
        switch self.shared.press(press, session: session) {
        case .redirect(let url): return Response(status: .seeOther, headers: [.location: url])
        case .stay(let remark): return Self.page(self.shared.checkoutPage(session, remark: remark))
        case .notFound: return Self.page(nil)
        }
    }

    private static func call(_ request: Request, _ body: ByteBuffer) -> APIRequest {
        var call = APIRequest(method: request.method.rawValue, path: request.uri.path)
        call.query = request.uri.query ?? ""
        call.body = String(buffer: body)
        call.isJSON = request.headers[.contentType]?.hasPrefix("application/json") ?? false
        call.authorization = request.headers[.authorization]
        call.idempotencyKey = HTTPField.Name("Idempotency-Key").flatMap { request.headers[$0] }
        call.version = HTTPField.Name("Stripe-Version").flatMap { request.headers[$0] }
        return call
    }

    private static func response(_ reply: APIReply) -> Response {
        var response = Response(
            status: .init(code: reply.status), headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: reply.body.compact + "\n")))
        for header in reply.headers {
            if let name = HTTPField.Name(header.name) { response.headers[name] = header.value }
        }
        return response
    }

    private static func notFound(_ call: APIRequest) -> Response {
        let failure = StripeFailure.unrecognized(call.method, call.path)
        return self.response(APIReply(status: failure.status, body: failure.json))
    }

    private static func page(_ html: String?, _ status: HTTPResponse.Status = .ok) -> Response {
        guard let html else {
            return Response(
                status: .notFound, body: ResponseBody(byteBuffer: ByteBuffer(string: "Not found\n")))
        }
        return Response(
            status: status, headers: [.contentType: "text/html; charset=utf-8", .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: html)))
    }
}
