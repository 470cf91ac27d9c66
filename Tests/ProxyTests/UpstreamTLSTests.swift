import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import Testing

@testable import Proxy

/// The operator's key goes only to a peer that proved its name.
@Suite(.timeLimit(.minutes(5))) struct UpstreamTLSTests {
    /// A CA and a certificate made for this run, one for each name: openssl keeps a thread of the tests waiting. Deleted
    /// when the process ends.
    final class Authority: Sendable {
        let directory: String

        private static let made = Mutex<[String: Authority]>([:])

        static func of(_ subjectAltName: String) throws -> Authority {
            try self.made.withLock { made in
                if let authority = made[subjectAltName] { return authority }
                if made.isEmpty { atexit { Authority.made.withLock { $0 = [:] } } }
                let authority = try Authority(subjectAltName: subjectAltName)
                made[subjectAltName] = authority
                return authority
            }
        }

        private init(subjectAltName: String) throws {
            var template = Array("/tmp/tollgate-tls-XXXXXX".utf8CString)
            guard let made = mkdtemp(&template) else { throw OpenSSLFailure(status: errno) }
            self.directory = String(cString: made)
            try self.openssl([
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-days", "2",
                "-subj", "/CN=Tollgate test CA", "-keyout", "ca.key", "-out", "ca.pem",
            ])
            try self.openssl([
                "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                "/CN=test",
                "-keyout", "server.key", "-out", "server.csr",
            ])
            try "subjectAltName=\(subjectAltName)\n".write(
                toFile: self.path("san"), atomically: false, encoding: .utf8)
            try self.openssl([
                "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days",
                "2", "-extfile", "san", "-out", "server.pem",
            ])
        }

        /// `name`.pem and `name`.key, signed by itself.
        func issueRSA(bits: Int, name: String) throws {
            try self.openssl([
                "req", "-x509", "-newkey", "rsa:\(bits)", "-nodes", "-days", "2", "-subj", "/CN=\(name)",
                "-keyout", "\(name).key", "-out", "\(name).pem",
            ])
        }

        deinit { try? FileManager.default.removeItem(atPath: self.directory) }

        struct OpenSSLFailure: Error { let status: Int32 }

        func path(_ name: String) -> String { self.directory + "/" + name }

        private func openssl(_ arguments: [String]) throws {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["openssl"] + arguments
            process.currentDirectoryURL = URL(fileURLWithPath: self.directory)
            process.standardError = FileHandle.nullDevice
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            process.waitUntilExit()
            guard process.terminationStatus == 0 else {
                throw OpenSSLFailure(status: process.terminationStatus)
            }
        }

        func server(atMost version: TLSVersion? = nil) throws -> NIOSSLContext {
            let chain = try NIOSSLCertificate.fromPEMFile(self.path("server.pem")).map {
                NIOSSLCertificateSource.certificate($0)
            }
            let key = try NIOSSLPrivateKey(file: self.path("server.key"), format: .pem)
            var tls = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain, privateKey: .privateKey(key))
            tls.minimumTLSVersion = .tlsv1
            tls.maximumTLSVersion = version
            return try NIOSSLContext(configuration: tls)
        }

        /// As `ProxyServer` makes it.
        func client(trusted: Bool = true) throws -> TLSClientContext {
            try TLSClientContext(caFile: trusted ? self.path("ca.pem") : nil, protocols: ["http/1.1"])
        }
    }

    static func with<Result: Sendable>(
        _ script: [ScriptedUpstream.Step], host: String = "localhost",
        subjectAltName: String = "DNS:localhost",
        trusted: Bool = true, atMost version: TLSVersion? = nil,
        limits: UpstreamPool.Limits = UpstreamPool.Limits(),
        _ body: (UpstreamRig, ScriptedUpstream) async throws -> Result
    ) async throws -> Result {
        let authority = try Authority.of(subjectAltName)
        let upstream = try await ScriptedUpstream.start(script, tls: try authority.server(atMost: version))
        let result = try await UpstreamRig.with(
            "https://\(host):\(upstream.port)", tls: try authority.client(trusted: trusted), limits: limits
        ) { rig in try await body(rig, upstream) }
        await upstream.stop()
        return result
    }

    static let five = UpstreamConnectionTests.five

    @Test(arguments: [("localhost", "DNS:localhost"), ("127.0.0.1", "IP:127.0.0.1")])
    func aPeerThatProvesItsNameIsUsedAndKept(host: String, subjectAltName: String) async throws {
        try await Self.with([.reply(Self.five)], host: host, subjectAltName: subjectAltName) {
            rig, upstream in
            for index in 0..<3 {
                let got = try await rig.run()
                UpstreamConnectionTests.expectComplete(got, "hello")
                #expect(got.reused == (index > 0))
                #expect(got.written == .fully)
            }
            #expect(upstream.state.connections == 1)
        }
    }

    @Test(arguments: [
        ("localhost", "DNS:localhost", false), ("localhost", "DNS:other.example", true),
        ("127.0.0.1", "DNS:localhost", true), ("127.0.0.1", "IP:127.0.0.2", true),
    ])
    func aPeerThatDoesNotProveItsNameSeesNoRequest(host: String, subjectAltName: String, trusted: Bool)
        async throws
    {
        try await Self.with(
            [.reply(Self.five)], host: host, subjectAltName: subjectAltName, trusted: trusted
        ) { rig, upstream in
            let got = try await rig.run()
            #expect(got.ending == .failed(.tlsFailed))
            #expect(got.written == .nothing)
            #expect(upstream.state.requests.isEmpty)
            try await rig.eventually("nothing is left") { $0.count == 0 && $0.waitingCount == 0 }
        }
    }

    /// Whoever cuts the connection could otherwise shorten a close-delimited reply unseen.
    @Test func aTruncatedTLSStreamIsNotAnEnd() async throws {
        let reply = UpstreamConnectionTests.ok + "\r\nhello"
        try await Self.with([.replyThenCut(reply)]) {
            rig, _ in
            let got = try await rig.run()
            #expect(got.ending == .closed(.closed))
        }
        try await Self.with([.replyThenClose(reply)]) {
            rig, _ in
            UpstreamConnectionTests.expectComplete(try await rig.run(), "hello")
        }
    }

    /// A full handshake is most of what a new connection costs both sides.
    @Test(arguments: [TLSVersion.tlsv12, .tlsv13])
    func aLaterConnectionResumesTheSession(version: TLSVersion) async throws {
        try await Self.with([.replyThenClose(Self.closing)], atMost: version) { rig, upstream in
            for _ in 0..<4 { UpstreamConnectionTests.expectComplete(try await rig.run(), "hello") }
            #expect(upstream.state.connections == 4)
            let resumed = try await rig.resumed()
            #expect(resumed == 3)
        }
    }

    /// A session vouches for a certificate that the roots of its time have verified.
    @Test func newRootsResumeNothing() async throws {
        try await Self.with([.replyThenClose(Self.closing)]) { rig, upstream in
            UpstreamConnectionTests.expectComplete(try await rig.run(), "hello")
            let strangers = try TLSClientContext(caFile: nil, protocols: ["http/1.1"])
            try await rig.loop.submit { rig.pool.value.setTLS(strangers) }.get()
            let (got, resumed) = (try await rig.run(), try await rig.resumed())
            #expect(got.ending == .failed(.tlsFailed) && resumed == 0)
            #expect(upstream.state.requests.count == 1)
        }
    }

    private static let closing =
        UpstreamConnectionTests.ok + "Connection: close\r\nContent-Length: 5\r\n\r\nhello"

    @Test func anOldVersionIsRefused() async throws {
        try await Self.with([.reply(Self.five)], atMost: .tlsv11) { rig, upstream in
            let got = try await rig.run()
            #expect(got.ending == .failed(.tlsFailed))
            #expect(upstream.state.requests.isEmpty)
        }
    }

    /// As over plain TCP: upstream had closed before the request reached it, so that it may be sent again. Servers
    /// close with a farewell or without.
    @Test(arguments: [true, false]) func whatMeetsAClosedSocketIsUntaken(farewell: Bool) async throws {
        var limits = UpstreamPool.Limits()
        limits.checksLiveness = false
        try await Self.with([.reply(Self.five)], limits: limits) { rig, upstream in
            UpstreamConnectionTests.expectComplete(try await rig.run(), "hello")
            let got = try await rig.run(after: {
                upstream.leaveAll(sayingFarewell: farewell)
                KernelSockets.waitUntilNoneIsEstablished(to: upstream.port)
            })
            #expect(got.reused == true && got.ending == .closed(.notAccepted))
            #expect(got.written == .nothing)
            #expect(upstream.state.requests.count == 1)
        }
    }

    @Test func aPlainPeerIsNotSpokenTo() async throws {
        let authority = try Authority.of("DNS:localhost")
        let upstream = try await ScriptedUpstream.start(
            [.reply(Self.five)], onAccept: "HTTP/1.1 400 Bad\r\n\r\n")
        try await UpstreamRig.with("https://localhost:\(upstream.port)", tls: try authority.client()) { rig in
            let got = try await rig.run()
            #expect(got.ending == .failed(.tlsFailed))
        }
        await upstream.stop()
    }

    /// A peer that accepts and then says nothing.
    @Test func aHandshakeThatNeverEndsTimesOut() async throws {
        let authority = try Authority.of("DNS:localhost")
        let upstream = try await ScriptedUpstream.start([.hold])
        var limits = UpstreamPool.Limits()
        limits.connectTimeout = .milliseconds(300)
        try await UpstreamRig.with(
            "https://127.0.0.1:\(upstream.port)", tls: try authority.client(), limits: limits
        ) { rig in
            let got = try await rig.run()
            #expect(got.ending == .failed(.connectTimeout))
            #expect(got.written == .nothing)
            try await rig.eventually("nothing is left") { $0.count == 0 && $0.waitingCount == 0 }
        }
        await upstream.stop()
    }
}
