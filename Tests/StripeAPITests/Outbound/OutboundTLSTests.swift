import Testing

@testable import StripeAPI

/// The key of a Stripe account goes through this: a certificate that is not Stripe's must see nothing of it.
@Suite(.timeLimit(.minutes(5))) struct OutboundTLSTests {
    private func send(to server: TLSServer, host: String, trusting file: String?) async throws
        -> OutboundFailure?
    {
        var configuration = OutboundHTTP.Configuration()
        configuration.threads = 1
        configuration.authoritiesFile = file
        let base = try OutboundBase(parsing: "https://\(host):\(server.port)")
        do throws(OutboundFailure) {
            let reply = try await OutboundHTTP(configuration).send(OutboundRequest(.get, base, target: "/"))
            #expect(reply.status == 200)
            return nil
        } catch {
            return error
        }
    }

    @Test func aCertificateOfAnAuthorityWeTrustIsAccepted() async throws {
        let server = try TLSServer()
        #expect(try await self.send(to: server, host: "localhost", trusting: server.certificate) == nil)
        server.stop()
    }

    @Test func aCertificateThatNobodyKnowsIsRefused() async throws {
        let server = try TLSServer()
        let failure = try await self.send(to: server, host: "localhost", trusting: nil)
        #expect(failure == .tls(.certificate))
        #expect(failure?.mayHaveBeenSent == false)
        server.stop()
    }

    /// Signed by somebody we trust, but for another name.
    @Test func aCertificateForAnotherNameIsRefused() async throws {
        let server = try TLSServer()
        let failure = try await self.send(to: server, host: "127.0.0.1", trusting: server.certificate)
        #expect(failure == .tls(.certificate))
        server.stop()
    }

    @Test func authoritiesThatCannotBeReadAreNotDoneWithout() async throws {
        let server = try TLSServer()
        let failure = try await self.send(to: server, host: "localhost", trusting: "/nonexistent.pem")
        #expect(failure == .tls(.authorities))
        server.stop()
    }

    @Test func tlsBeforeVersion12IsNotSpoken() async throws {
        let server = try TLSServer(["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"])
        let failure = try await self.send(to: server, host: "localhost", trusting: server.certificate)
        #expect(failure == .tls(.handshake))
        server.stop()
    }

    @Test func plainHTTPBehindAnHTTPSAddressIsNoHandshake() async throws {
        let server = try await NastyServer([.cut(NastyServer.Answer.text(200, "hello"))])
        var configuration = OutboundHTTP.Configuration()
        configuration.connectTimeout = .milliseconds(700)
        let base = try OutboundBase(parsing: "https://127.0.0.1:\(server.port)")
        let failure = await #expect(throws: OutboundFailure.self) {
            try await OutboundHTTP(configuration).send(OutboundRequest(.get, base, target: "/"))
        }
        // The server waits for the end of a request, the client for the end of a handshake.
        #expect(failure == .timedOut(sent: false))
        await server.stop()
    }
}
