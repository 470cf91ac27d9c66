import Foundation
import Glibc
import MockOpenAI
import NIOPosix
import Testing

@testable import LoadBench

@Suite struct StackBaselineTests {
    private static let certificates = StackCertificates(directory: "/c")

    private static func settings(client: Bool, upstream: Bool, isStreaming: Bool = false) -> BaselineSettings
    {
        BaselineSettings(
            port: 1001, upstreamPort: 1002, certificates: Self.certificates,
            tls: TLSLegs(client: client, upstream: upstream), isStreaming: isStreaming, connectionsMax: 100)
    }

    /// Each leg has its own lines, and a leg that is plain has none of them.
    @Test(arguments: [false, true], [false, true])
    func eachLegIsEncryptedByItself(client: Bool, upstream: Bool) {
        let settings = Self.settings(client: client, upstream: upstream)
        let nginx = NginxBaseline.configuration(settings, directory: "/d", asRoot: false)
        #expect(nginx.contains("listen 127.0.0.1:1001 ssl;") == client)
        #expect(nginx.contains("ssl_certificate /c/leaf.crt;") == client)
        #expect(nginx.contains("proxy_pass https://mock;") == upstream)
        #expect(nginx.contains("proxy_ssl_trusted_certificate /c/ca.crt;") == upstream)
        let haproxy = HAProxyBaseline.configuration(settings)
        #expect(haproxy.contains("ssl crt /c/leaf.pem") == client)
        #expect(haproxy.contains("verify required ca-file /c/ca.crt") == upstream)
        let lite = LiteLLMBaseline.configuration(settings, models: ["a", "b"])
        #expect(lite.contains("https://localhost:1002/v1") == upstream)
        #expect(lite.contains("model: \"openai/a\"") && lite.contains("model_name: \"b\""))
    }

    @Test func onlyStreamsAreNotGathered() {
        for isStreaming in [false, true] {
            let settings = Self.settings(client: false, upstream: false, isStreaming: isStreaming)
            let nginx = NginxBaseline.configuration(settings, directory: "/d", asRoot: true)
            #expect(nginx.contains("proxy_buffering off;") == isStreaming)
            #expect(HAProxyBaseline.configuration(settings).contains("option http-no-delay") == isStreaming)
        }
    }

    /// A baseline that closes its connections, or writes a log, would be an easy one.
    @Test func theBaselinesAreFastOnes() {
        let settings = Self.settings(client: false, upstream: false)
        let nginx = NginxBaseline.configuration(settings, directory: "/d", asRoot: true)
        for line in [
            "user root;", "worker_processes 1;", "access_log off;", "keepalive 256;",
            "proxy_http_version 1.1;",
            "proxy_set_header Connection \"\";", "worker_connections 264;", "pid /d/nginx.pid;",
        ] {
            #expect(nginx.contains(line))
        }
        for line in ["nbthread 1", "maxconn 100", "http-reuse always"] {
            #expect(HAProxyBaseline.configuration(settings).contains(line))
        }
    }

    @Test func liteLLMWithoutItsEnvironmentIsNotPresent() throws {
        let lite = LiteLLMBaseline(environmentPath: "/no/such")
        #expect(!lite.isPresent)
        #expect(throws: StackError.self) {
            try lite.start(Self.settings(client: false, upstream: false), models: ["a"], directory: "/tmp")
        }
    }

    enum Program: String, Sendable, CaseIterable {
        case nginx, haproxy

        func start(_ settings: BaselineSettings, _ directory: String) throws -> ChildProgram {
            switch self {
            case .nginx: try NginxBaseline.start(settings, directory: directory)
            case .haproxy: try HAProxyBaseline.start(settings, directory: directory)
            }
        }
    }

    static let installed = Program.allCases.filter { ProgramPath.find($0.rawValue) != nil }

    /// The mock takes the operator's key only, so an answer says that the client's was replaced.
    @Test(arguments: Self.installed, [false, true])
    func aBaselineAnswersForTheMock(program: Program, isTLS: Bool) async throws {
        let directory = try StackFiles.makeDirectory(below: "/tmp", prefix: "tollgate-bench-test-")
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let certificates = try await StackFixtures.offThePool { try StackCertificates.make(in: directory) }
        var configuration = MockOpenAIServer.Configuration()
        configuration.requiredKey = BaselineSettings.operatorKey
        if isTLS {
            configuration.tls = .init(
                certificatePath: certificates.certificateFile, keyPath: certificates.keyFile)
        }
        let mock = try await MockOpenAIServer.start(configuration, on: MultiThreadedEventLoopGroup.singleton)
        let upstreamPort = mock.port
        try await StackFixtures.offThePool {
            let settings = BaselineSettings(
                port: try LoopbackPort.free(), upstreamPort: upstreamPort, certificates: certificates,
                tls: TLSLegs(upstream: isTLS), isStreaming: true, connectionsMax: 200)
            let child = try program.start(settings, directory)
            let call = ControlCall(port: settings.port)
            for _ in 0..<3 {
                let reply = try call.get("/v1/models", bearer: "tg_client")
                #expect(reply.status == 200, "\(reply.text) \(child.tail)")
            }
            try child.stop()
        }
        try await mock.shutdown()
    }

    @Test(arguments: Self.installed)
    func aBaselineShowsItsCertificateToClients(program: Program) async throws {
        try await StackFixtures.offThePool {
            try StackFixtures.withDirectory { directory in
                let certificates = try StackCertificates.make(in: directory)
                let settings = BaselineSettings(
                    port: try LoopbackPort.free(), upstreamPort: try LoopbackPort.free(),
                    certificates: certificates, tls: TLSLegs(client: true), connectionsMax: 200)
                let child = try program.start(settings, directory)
                try ToolRun.run(
                    [
                        "openssl", "s_client", "-connect", "127.0.0.1:\(settings.port)", "-CAfile",
                        certificates.authorityFile, "-verify_return_error", "-verify_hostname", "localhost",
                    ], scratch: directory, seconds: 20
                ).checked()
                try child.stop()
            }
        }
    }
}
