import Glibc
import Testing

@testable import StripeAPI

/// Real sockets: what libcurl does with a peer that behaves badly.
@Suite(.timeLimit(.minutes(5))) struct OutboundHTTPTests {
    @Test func sendsWhatIsAskedAndReadsTheReply() async throws {
        let server = try await NastyServer([.reply(201, "hello", headers: ["X-One:  two  ", "X-One: three"])])
        let reply = try await outbound().send(
            OutboundRequest(
                .post, try .loopback(server.port), target: "/v1/a?b=c", headers: [.init("X-Key", "k")],
                body: Array("m=\u{0}1".utf8)))
        #expect(reply.status == 201)
        #expect(reply.body == Array("hello".utf8))
        #expect(reply.header("x-one") == "two")
        let request = try #require(server.requests.first)
        #expect(request.method == "POST")
        #expect(request.target == "/v1/a?b=c")
        #expect(request.version == "HTTP/1.1")
        #expect(request.headers["x-key"] == "k")
        #expect(request.body == "m=\u{0}1")
        #expect(request.headers["expect"] == nil)
        await server.stop()
    }

    @Test func keepsItsConnection() async throws {
        let server = try await NastyServer([.reply(200, "a"), .reply(200, "")])
        let http = outbound()
        let get = OutboundRequest(.get, try .loopback(server.port), target: "/")
        let emptyPost = OutboundRequest(.post, try .loopback(server.port), target: "/")
        for request in [get, emptyPost, get] { #expect(try await http.send(request).status == 200) }
        #expect(server.requests.map(\.method) == ["GET", "POST", "GET"])
        #expect(server.connections == 1)
        await server.stop()
    }

    /// libcurl's own second attempt, which is why a POST needs an idempotency key.
    @Test func aKeptConnectionThatDiedIsReplacedSilently() async throws {
        let server = try await NastyServer([.reply(200, "a"), .cut(""), .reply(200, "b")])
        let http = outbound()
        #expect(try await failure(of: http, server, body: [1]) == nil)
        #expect(try await failure(of: http, server, body: [2]) == nil)
        #expect(server.requests.map(\.body) == ["\u{1}", "\u{2}", "\u{2}"])
        await server.stop()
    }

    /// The request was read on the kept connection; that the next one is refused does not make it unsent.
    @Test func whatWasSentOnADyingConnectionMayHaveBeenApplied() async throws {
        let server = try await NastyServer([.reply(200, "a"), .vanish])
        let http = outbound()
        #expect(try await failure(of: http, server, body: [1]) == nil)
        #expect(try await failure(of: http, server, body: [2]) == .broken(sent: true))
        #expect(server.requests.count == 2)
    }

    /// A request asks for less time than the configuration, never for more.
    @Test func theConfigurationBoundsEveryTimeOut() async throws {
        let server = try await NastyServer([.silence])
        let http = outbound { $0.totalTimeout = .seconds(5) }
        #expect(try await failure(of: http, server, timeout: .seconds(600)) == .timedOut(sent: true))
        await server.stop()
    }

    @Test func anExplicitProxyIsUsed() async throws {
        let proxy = try await NastyServer([.reply(200, "proxy")])
        let http = outbound { $0.proxy = "http://127.0.0.1:\(proxy.port)" }
        let base = try OutboundBase(parsing: "http://127.0.0.1:9")
        #expect(try await http.send(OutboundRequest(.get, base, target: "/x")).body == Array("proxy".utf8))
        #expect(proxy.requests.map(\.target) == ["http://127.0.0.1:9/x"])
        await proxy.stop()
    }

    /// `http_proxy` of the environment is somebody else's wish. In a process of its own: the environment is
    /// everybody's.
    @Test func theEnvironmentsProxyIsNotUsed() async {
        await #expect(processExitsWith: .success) {
            let proxy = try await NastyServer([.reply(200, "proxy")])
            let server = try await NastyServer([.reply(200, "server")])
            setenv("http_proxy", "http://127.0.0.1:\(proxy.port)", 1)
            let reply = try await OutboundHTTP().send(
                OutboundRequest(.get, try .loopback(server.port), target: "/x"))
            #expect(reply.body == Array("server".utf8))
            #expect(proxy.requests.isEmpty)
        }
    }

    /// A time-out after the request was sent leaves its outcome unknown; one before does not.
    @Test func aSilentPeerIsATimeOutAfterSending() async throws {
        let server = try await NastyServer([.silence])
        let failure = try await failure(of: outbound(), server, timeout: .seconds(5))
        #expect(failure == .timedOut(sent: true))
        #expect(failure?.mayHaveBeenSent == true)
        await server.stop()
    }

    @Test func aClosedPortIsAFailureToConnect() async throws {
        let port = try ClosedPort()
        let request = OutboundRequest(.post, try .loopback(port.number), target: "/", body: [1])
        let failure = await #expect(throws: OutboundFailure.self) { try await outbound().send(request) }
        #expect(failure == .connect)
        #expect(failure?.mayHaveBeenSent == false)
        _ = consume port
    }

    @Test func aNameThatIsNoneIsAFailureToResolve() async throws {
        let request = OutboundRequest(
            .get, try OutboundBase(parsing: "https://no-such-host.invalid"), target: "/")
        await #expect(throws: OutboundFailure.resolve) { try await outbound().send(request) }
    }

    @Test(arguments: [
        "", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "this is not HTTP\r\n\r\n",
    ])
    func aReplyCutInTheMiddleIsNoReply(_ bytes: String) async throws {
        let server = try await NastyServer([.cut(bytes)])
        #expect(try await failure(of: outbound(), server, body: [1]) == .broken(sent: true))
        await server.stop()
    }

    /// Ten megabytes where two were allowed: memory stays bounded, whether the length was announced or not.
    @Test(arguments: [true, false]) func aReplyThatIsTooLargeIsCutOff(isAnnounced: Bool) async throws {
        let body = String(repeating: "x", count: 10 << 20)
        let text = isAnnounced ? NastyServer.Answer.text(200, body) : "HTTP/1.1 200 OK\r\n\r\n" + body
        let server = try await NastyServer([.cut(text)])
        let failure = try await failure(of: outbound { $0.bodyBytesMax = 2 << 20 }, server)
        #expect(failure == .replyTooLarge)
        #expect(failure?.mayHaveBeenSent == true)
        await server.stop()
    }

    @Test func headersThatDoNotEndAreCutOff() async throws {
        let lines = (0..<2000).map { "X-\($0): \(String(repeating: "y", count: 60))" }
        let server = try await NastyServer([.reply(200, "", headers: lines)])
        #expect(try await failure(of: outbound(), server) == .replyTooLarge)
        await server.stop()
    }

    /// The secret must not follow a redirect to another host.
    @Test func aRedirectIsAReply() async throws {
        let server = try await NastyServer([.reply(302, "", headers: ["Location: http://127.0.0.1:1/"])])
        let reply = try await outbound().send(OutboundRequest(.get, try .loopback(server.port), target: "/"))
        #expect(reply.status == 302)
        #expect(server.requests.count == 1)
        await server.stop()
    }

    @Test func headersOfAnInterimReplyAndTrailersAreNotThoseOfTheReply() async throws {
        let server = try await NastyServer([
            .bytes(
                "HTTP/1.1 103 Early\r\nA: interim\r\n\r\n"
                    + "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nB: c\r\n\r\n"
                    + "2\r\nok\r\n0\r\nA: trailer\r\n\r\n")
        ])
        let reply = try await outbound().send(OutboundRequest(.get, try .loopback(server.port), target: "/"))
        #expect(reply.status == 200)
        #expect(reply.body == Array("ok".utf8))
        #expect(reply.header("a") == nil)
        #expect(reply.header("b") == "c")
        await server.stop()
    }

}
