import Testing

@testable import StripeAPI

/// Real sockets: who waits for whom, and how it ends.
@Suite(.timeLimit(.minutes(5))) struct OutboundLifetimeTests {
    @Test func oneThreadThatHangsDoesNotHoldUpTheOthers() async throws {
        let server = try await NastyServer { _, request in
            request.target == "/x" ? .silence : .reply(200, "")
        }
        let http = outbound { $0.threads = 2 }
        async let hanging = failure(of: http, server, timeout: .seconds(3))
        await server.waitForRequests(1)
        let base = try OutboundBase.loopback(server.port)
        for _ in 0..<3 {
            #expect(try await http.send(OutboundRequest(.get, base, target: "/y")).status == 200)
        }
        #expect(try await hanging == .timedOut(sent: true))
        await server.stop()
    }

    @Test func moreThanTheQueueHoldsIsRefusedAtOnce() async throws {
        let server = try await NastyServer([.silence])
        let http = outbound { $0.queueMax = 0 }
        #expect(try await failure(of: http, server) == .queueFull)
        #expect(server.requests.isEmpty)
        await server.stop()
    }

    @Test func waitingForAThreadCountsAsTimeBeforeSending() async throws {
        let server = try await NastyServer([.silence])
        let http = outbound()
        // Long enough for the second to be in the queue meanwhile: it is told of its time when a thread takes it.
        async let first = failure(of: http, server, timeout: .seconds(20))
        await server.waitForRequests(1)
        #expect(try await failure(of: http, server, timeout: .milliseconds(20)) == .timedOut(sent: false))
        #expect(try await first == .timedOut(sent: true))
        #expect(server.requests.count == 1)
        await server.stop()
    }

    @Test func aCancelledTaskDoesNotWaitForItsTimeOut() async throws {
        let server = try await NastyServer([.silence])
        let http = outbound()
        // SAFETY: awaited below; it is a task of its own because it is to be cancelled.
        let task = Task { try await failure(of: http, server) }
        await server.waitForRequests(1)
        task.cancel()
        #expect(try await task.value == .cancelled(sent: true))
        await server.stop()
    }

    /// Its turn may be minutes away: it must not wait for it only to hear that it was cancelled.
    @Test(arguments: [true, false]) func aTaskThatIsCancelledInTheQueueSendsNothing(
        beforeItWaits: Bool
    ) async throws {
        let server = try await NastyServer([.silence])
        let http = outbound()
        async let running = failure(of: http, server)
        await server.waitForRequests(1)
        // SAFETY: awaited below; it is a task of its own because it is to be cancelled.
        let task = Task {
            if beforeItWaits { withUnsafeCurrentTask { $0?.cancel() } }
            return try await failure(of: http, server)
        }
        if !beforeItWaits { task.cancel() }
        #expect(try await task.value == .cancelled(sent: false))
        // Which shows that the first one still ran.
        http.shutDown()
        #expect(try await running == .shutDown(sent: true))
        #expect(server.requests.count == 1)
        await server.stop()
    }

    @Test func shuttingDownEndsWhatRunsAndRefusesWhatComes() async throws {
        let server = try await NastyServer([.silence])
        let http = outbound()
        async let running = failure(of: http, server)
        await server.waitForRequests(1)
        http.shutDown()
        http.shutDown()
        #expect(try await running == .shutDown(sent: true))
        #expect(try await failure(of: http, server) == .shutDown(sent: false))
        await server.stop()
    }

    /// For callers that own their thread, such as the one that holds a row lock in Postgres.
    @Test func aThreadMayWaitForItsReply() async throws {
        let server = try await NastyServer([.reply(200, "hello"), .silence])
        let http = outbound()
        let base = try OutboundBase.loopback(server.port)
        let results = await withCheckedContinuation { continuation in
            OutboundThread.start {
                let results = [nil, Duration.seconds(5)].map { timeout in
                    Result { () throws(OutboundFailure) in
                        try http.sendAndWait(OutboundRequest(.get, base, target: "/", timeout: timeout)).body
                    }
                }
                continuation.resume(returning: results)
            }
        }
        #expect(results == [.success(Array("hello".utf8)), .failure(.timedOut(sent: true))])
        await server.stop()
    }
}
