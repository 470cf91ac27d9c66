import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import Testing

@testable import Proxy

/// The operator's key goes only to a peer that proved its name.
@Suite(.timeLimit(.minutes(1))) struct UpstreamTLSTests {
    /// A CA and a certificate made for this run; deleted with the suite's value.
    final class Authority: Sendable {
        let directory: String

        init(subjectAltName: String) throws {
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

        func server() throws -> NIOSSLContext {
            let chain = try NIOSSLCertificate.fromPEMFile(self.path("server.pem")).map {
                NIOSSLCertificateSource.certificate($0)
            }
            let key = try NIOSSLPrivateKey(file: self.path("server.key"), format: .pem)
            return try NIOSSLContext(
                configuration: .makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(key))
            )
        }

        /// As `ProxyServer` makes it.
        func client(trusted: Bool = true) throws -> NIOSSLContext {
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.minimumTLSVersion = .tlsv12
            if trusted { tls.additionalTrustRoots = [.file(self.path("ca.pem"))] }
            return try NIOSSLContext(configuration: tls)
        }
    }

    static func with<Result: Sendable>(
        _ script: [ScriptedUpstream.Step], host: String, subjectAltName: String, trusted: Bool = true,
        _ body: (UpstreamRig, ScriptedUpstream) async throws -> Result
    ) async throws -> Result {
        let authority = try Authority(subjectAltName: subjectAltName)
        let upstream = try await ScriptedUpstream.start(script, tls: try authority.server())
        let result = try await UpstreamRig.with(
            "https://\(host):\(upstream.port)", tls: try authority.client(trusted: trusted)
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
        try await Self.with([.replyThenCut(reply)], host: "localhost", subjectAltName: "DNS:localhost") {
            rig, _ in
            let got = try await rig.run()
            #expect(got.ending == .closed(.closed))
        }
        try await Self.with([.replyThenClose(reply)], host: "localhost", subjectAltName: "DNS:localhost") {
            rig, _ in
            UpstreamConnectionTests.expectComplete(try await rig.run(), "hello")
        }
    }

    @Test func aPlainPeerIsNotSpokenTo() async throws {
        let authority = try Authority(subjectAltName: "DNS:localhost")
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
        let authority = try Authority(subjectAltName: "DNS:localhost")
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
