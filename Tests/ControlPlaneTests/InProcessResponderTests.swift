import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import Testing

@testable import ControlPlane

/// The control plane called as a function, the way the data plane's listener does.
@Suite struct InProcessResponderTests {
    /// A context that lends the test a channel.
    private struct ChannelContext: RequestContext {
        var coreContext: CoreRequestContextStorage
        let channel: any Channel

        init(source: ApplicationRequestContextSource) {
            self.coreContext = .init(source: source)
            self.channel = source.channel
        }
    }

    private func respond(
        _ method: String, _ target: String, _ fields: [(String, String)] = [], body: String = ""
    ) async throws -> Reply {
        let inner = InProcessResponder(ControlRig().router, logger: Logger(label: "test"))
        let router = Router(context: ChannelContext.self)
        router.get("/run") { _, context in
            await inner.respond(
                method: method, target: target, fields: fields, body: ByteBuffer(string: body),
                channel: context.channel)
        }
        return try await Application(router: router).test(.router) { client in
            try await client.execute(uri: "/run", method: .get) {
                Reply(status: $0.status.code, headers: $0.headers, text: String(buffer: $0.body))
            }
        }
    }

    @Test func fieldsAndBodyReachTheRoute() async throws {
        let reply = try await self.respond(
            "POST", "/api/billing/estimate",
            [("host", "tollgate.example"), ("AUTHORIZATION", "Bearer \(FakeLedger.adaKey)")],
            body: #"{"model":"gpt-4o-mini","inputTokens":750,"outputTokens":200}"#)
        #expect(reply.status == 200)
        #expect(reply.text.contains(#""credits":3.72,"#))
        #expect(reply.headers[.contentLength] == String(reply.text.utf8.count))
        #expect(reply.headers[.tollgateRequestID]?.isEmpty == false)
    }

    @Test func theQueryReachesTheRoute() async throws {
        let reply = try await self.respond(
            "GET", "/api/billing/summary?userId=bob", [("authorization", "Bearer \(ControlRig.adminToken)")])
        #expect(try reply.string("balanceMillicredits") == "9990000")
    }

    @Test(arguments: ["/api/health", "/api/nothing"])
    func headHasALengthAndNoBody(_ target: String) async throws {
        let reply = try await self.respond("HEAD", target)
        #expect(reply.text.isEmpty)
        #expect(reply.headers[.contentLength].flatMap { Int($0) } ?? 0 > 0)
    }

    @Test(arguments: [("GE T", "x-ok"), ("", "x-ok"), ("GET", "not a token"), ("GET", "")])
    func whatIsNoHTTPIsA400InJSON(_ method: String, _ field: String) async throws {
        let reply = try await self.respond(method, "/api/health", [(field, "1")])
        #expect(reply.status == 400)
        #expect(try reply.string("code") == "invalid_request")
        #expect(reply.headers[.contentTypeOptions] == "nosniff")
    }

    @Test(arguments: ["*", "", "//", "/api/%", "/api/%zz?userId=%", "http://other/api/health", "/?&=&&"])
    func aStrangeTargetIsAnsweredAndNeverACrash(_ target: String) async throws {
        let reply = try await self.respond("GET", target)
        #expect((200..<500).contains(reply.status))
    }
}
