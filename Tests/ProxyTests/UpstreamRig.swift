import Metering
import NIOCore
import NIOPosix
import Testing

@testable import Proxy

/// What a borrower was told.
struct Transcript: Sendable, Equatable {
    enum Ending: Sendable, Equatable {
        case end
        case failed(UpstreamFailure)
        case closed(UpstreamFailure)
    }

    var reused: Bool?
    var status: Int?
    var body = ""
    var bodyBytes = 0
    var written: ExchangeEvidence.RequestWritten = .nothing
    var ending: Ending?
    /// Calls after the ending, or in an order that the protocol excludes.
    var violations: [String] = []
}

/// Sends one request as soon as it has a connection and writes down everything it hears.
final class RecordingBorrower: UpstreamBorrower {
    private(set) var transcript = Transcript()
    private(set) var connection: UpstreamConnection?
    private let request: ByteBuffer
    private let done: EventLoopPromise<Transcript>
    private let keepsText: Bool
    /// Pauses reads at the first piece of the body.
    var pausesAtBody = false
    /// Aborts at the first piece of the body.
    var abortsAtBody = false
    /// Called when the connection comes.
    var onReady: (() -> Void)?
    /// Called at the end of the reply, before the connection is given back.
    var onEnd: (() -> Void)?

    init(_ request: ByteBuffer, done: EventLoopPromise<Transcript>, keepsText: Bool = true) {
        self.request = request
        self.done = done
        self.keepsText = keepsText
    }

    private func expect(_ condition: Bool, _ what: String) {
        if !condition || self.transcript.ending != nil { self.transcript.violations.append(what) }
    }

    func upstreamReady(_ connection: UpstreamConnection, reused: Bool) {
        self.expect(self.connection == nil, "ready twice")
        self.transcript.reused = reused
        self.connection = connection
        self.onReady?()
        connection.send(self.request)
    }

    func upstreamFailed(_ failure: UpstreamFailure) {
        self.expect(self.connection == nil, "failed after ready")
        self.finish(.failed(failure))
    }

    func upstreamHead(_ head: ResponseHead, bytes: ByteBuffer) {
        self.expect(self.transcript.status == nil && head.byteCount == bytes.readableBytes, "head")
        self.transcript.status = head.status
    }

    func upstreamBody(_ bytes: ByteBuffer) {
        self.expect(self.transcript.status != nil && bytes.readableBytes > 0, "body")
        self.transcript.bodyBytes += bytes.readableBytes
        if self.keepsText { self.transcript.body += String(buffer: bytes) }
        if self.pausesAtBody {
            self.pausesAtBody = false
            self.connection?.pauseReads()
        }
        if self.abortsAtBody {
            self.connection?.abort()
            self.finish(.end)
        }
    }

    func upstreamEnd() {
        self.expect(self.transcript.status != nil, "end")
        self.onEnd?()
        self.finish(.end)
    }

    func upstreamReadComplete() {}

    func upstreamClosed(_ failure: UpstreamFailure) {
        self.expect(true, "closed")
        self.finish(.closed(failure))
    }

    private func finish(_ ending: Transcript.Ending) {
        guard self.transcript.ending == nil else { return }
        self.transcript.ending = ending
        self.transcript.written = self.connection?.requestWritten ?? .nothing
        self.connection?.release()
        self.connection = nil
        self.done.succeed(self.transcript)
    }
}

/// A pool on a loop of its own, towards one port.
struct UpstreamRig: Sendable {
    let group: MultiThreadedEventLoopGroup
    let loop: any EventLoop
    let pool: NIOLoopBound<UpstreamPool>

    static let request = "POST /v1/x HTTP/1.1\r\nHost: x\r\n\r\n"

    /// Runs `body` with a pool, and ends the pool afterwards.
    static func with<Result: Sendable>(
        _ origin: String, tls: TLSClientContext? = nil, limits: UpstreamPool.Limits = UpstreamPool.Limits(),
        proxy: UpstreamProxy? = nil, resolver: NameResolver = .system,
        _ body: (UpstreamRig) async throws -> Result
    ) async throws -> Result {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let parsed = try UpstreamOrigin.parse(origin)
        let pool = try await loop.submit {
            NIOLoopBound(
                UpstreamPool(
                    eventLoop: loop, origin: parsed, tls: tls, limits: limits, proxy: proxy,
                    resolver: resolver),
                eventLoop: loop)
        }.get()
        let rig = UpstreamRig(group: group, loop: loop, pool: pool)
        do {
            let result = try await body(rig)
            try await rig.end()
            return result
        } catch {
            try? await rig.end()
            throw error
        }
    }

    private func end() async throws {
        try await self.loop.submit { self.pool.value.shutdown() }.get()
        try await self.group.shutdownGracefully()
    }

    /// Handshakes of TLS that resumed a session.
    func resumed() async throws -> Int {
        try await self.loop.submit { self.pool.value.counters.resumed.load(ordering: .relaxed) }.get()
    }

    /// Connections that were begun.
    func dials() async throws -> Int {
        try await self.loop.submit { self.pool.value.counters.dials.load(ordering: .relaxed) }.get()
    }

    /// One request and all that comes of it.
    func run(_ request: String = Self.request) async throws -> Transcript {
        try await self.begin(request).get()
    }

    /// One request by a loop that was busy with `first`: what that brought to the kernel is not read yet when the
    /// request gets its connection.
    func run(
        after first: @escaping @Sendable () -> Void = {}, fresh: Bool = false
    ) async throws -> Transcript {
        let done = try await self.loop.submit {
            first()
            let promise = self.loop.makePromise(of: Transcript.self)
            let borrower = RecordingBorrower(ByteBuffer(string: Self.request), done: promise)
            self.pool.value.lease(borrower, fresh: fresh)
            let bound = NIOLoopBound(borrower, eventLoop: self.loop)
            promise.futureResult.whenComplete { _ in _ = bound }
            return promise.futureResult
        }.get()
        return try await done.get()
    }

    /// Leases now; the future ends with the exchange.
    func begin(_ request: String = Self.request) async throws -> EventLoopFuture<Transcript> {
        try await self.borrow(ByteBuffer(string: request)).done
    }

    struct Borrowed: Sendable {
        let borrower: NIOLoopBound<RecordingBorrower>
        let done: EventLoopFuture<Transcript>
    }

    func borrow(
        _ request: ByteBuffer, keepsText: Bool = true,
        _ prepare: @escaping @Sendable (RecordingBorrower) -> Void = { _ in }
    ) async throws -> Borrowed {
        let (loop, pool) = (self.loop, self.pool)
        return try await loop.submit {
            let done = loop.makePromise(of: Transcript.self)
            let borrower = RecordingBorrower(request, done: done, keepsText: keepsText)
            prepare(borrower)
            pool.value.lease(borrower)
            let bound = NIOLoopBound(borrower, eventLoop: loop)
            // The connection does not keep its borrower.
            done.futureResult.whenComplete { _ in _ = bound }
            return Borrowed(borrower: bound, done: done.futureResult)
        }.get()
    }

    func onLoop<Result: Sendable>(_ body: @escaping @Sendable (UpstreamPool) -> Result) async throws -> Result
    {
        let pool = self.pool
        return try await self.loop.submit { body(pool.value) }.get()
    }

    /// Waits until something is true of the pool that the other side of a socket brings about.
    func eventually(
        _ what: String, within limit: Duration = .seconds(10),
        _ condition: @escaping @Sendable (UpstreamPool) -> Bool
    ) async throws {
        let end = ContinuousClock.now + limit
        while try await !self.onLoop(condition) {
            guard ContinuousClock.now < end else {
                Issue.record("never happened: \(what)")
                return
            }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}

/// Starts a scripted upstream and a pool towards it, and ends both.
func withUpstream<Result: Sendable>(
    _ script: [ScriptedUpstream.Step], onAccept: String? = nil,
    limits: UpstreamPool.Limits = UpstreamPool.Limits(),
    _ body: (UpstreamRig, ScriptedUpstream) async throws -> Result
) async throws -> Result {
    let upstream = try await ScriptedUpstream.start(script, onAccept: onAccept)
    do {
        let result = try await UpstreamRig.with("http://127.0.0.1:\(upstream.port)", limits: limits) { rig in
            try await body(rig, upstream)
        }
        await upstream.stop()
        return result
    } catch {
        await upstream.stop()
        throw error
    }
}
