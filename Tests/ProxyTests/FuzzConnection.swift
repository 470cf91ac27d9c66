import NIOCore
import NIOEmbedded

@testable import Proxy

/// What the real `UpstreamConnection`, on a channel in memory and with a real pool, makes of an upstream's bytes.
/// Everyone who borrows it asks at once, and gives it back with the end of the reply.
enum ConnectionReader {
    /// - Parameters:
    ///   - ends: where messages end. What comes behind the end of one is not sent before the next request: a
    ///     connection on which it came sooner is not used again, as it must not be.
    ///   - cuts: further cuts between reads.
    static func responses(_ bytes: [UInt8], ends: [Int], cuts: [Int]) throws -> ReadMessages {
        let reading = try Reading()
        for piece in StrictReader.pieces(bytes, (ends + cuts).sorted()) { try reading.feed(piece) }
        return try reading.finish()
    }

    private final class Reading {
        private let channel = EmbeddedChannel()
        private let pool: UpstreamPool
        private let connection: UpstreamConnection
        private var borrower = Borrower()
        private var result = ReadMessages()
        private var fed = 0
        /// Bytes that came for the borrower of now.
        private var fedSinceAsked = 0

        init() throws {
            self.pool = UpstreamPool(
                eventLoop: self.channel.embeddedEventLoop,
                origin: try UpstreamOrigin.parse("http://127.0.0.1:9"),
                tls: nil)
            self.connection = UpstreamConnection(pool: self.pool)
            try self.channel.pipeline.syncOperations.addHandler(self.connection)
            try self.channel.connect(to: SocketAddress(unixDomainSocketPath: "/x")).wait()
            self.connection.assign(self.borrower)
            self.borrower.upstreamReady(self.connection, reused: false)
        }

        func feed(_ piece: ArraySlice<UInt8>) throws {
            self.askAgain()
            self.fed += piece.count
            self.fedSinceAsked += piece.count
            guard self.channel.isActive else { return }
            try self.channel.writeInbound(ByteBuffer(bytes: piece))
            self.note()
        }

        /// The next request goes out on the connection, if it may be used again.
        private func askAgain() {
            guard self.borrower.hasEnded, self.pool.idleCount == 1 else { return }
            self.borrower = Borrower()
            self.fedSinceAsked = 0
            self.pool.lease(self.borrower)
        }

        private func note() {
            guard var message = self.borrower.takeMessage() else { return }
            message.end = self.fed
            self.result.messages.append(message)
        }

        func finish() throws -> ReadMessages {
            let wasOpen = self.channel.isActive
            let waits = !self.borrower.hasEnded && self.fedSinceAsked > 0
            if wasOpen { self.channel.close(promise: nil) }
            self.channel.embeddedEventLoop.run()
            self.note()
            self.pool.shutdown()
            self.result.end =
                switch self.borrower.failure {
                // Nothing came for the last request.
                case .some(.closed) where !waits: .clean
                case .some(.closed): .incomplete(self.borrower.hasHead ? .body : .head)
                case .some: .rejected
                // A body without a length ends with the connection.
                case nil: wasOpen && !waits ? .clean : .closed
                }
            if !self.borrower.breaches.isEmpty { throw Breach(calls: self.borrower.breaches) }
            return self.result
        }
    }

    struct Breach: Error { var calls: [String] }

    private final class Borrower: UpstreamBorrower {
        private var connection: UpstreamConnection?
        private var message: ReadMessages.Message?
        private(set) var hasHead = false
        private(set) var hasEnded = false
        private(set) var failure: UpstreamFailure?
        /// Calls that the protocol excludes.
        private(set) var breaches: [String] = []

        private func expect(_ condition: Bool, _ call: String) {
            if !condition || self.hasEnded || self.failure != nil { self.breaches.append(call) }
        }

        func upstreamReady(_ connection: UpstreamConnection, reused: Bool) {
            self.connection = connection
            connection.send(ByteBuffer(string: UpstreamRig.request))
        }

        func upstreamFailed(_ failure: UpstreamFailure) { self.expect(false, "failed") }

        func upstreamHead(_ head: ResponseHead, bytes: ByteBuffer) {
            self.expect(!self.hasHead && bytes.readableBytes == head.byteCount, "head")
            self.hasHead = true
            self.message = .init(status: head.status)
        }

        func upstreamBody(_ bytes: ByteBuffer) {
            self.expect(self.hasHead && bytes.readableBytes > 0, "body")
            self.message?.body += Array(buffer: bytes)
        }

        func upstreamEnd() {
            self.expect(self.hasHead, "end")
            self.hasEnded = true
            self.connection?.release()
            self.connection = nil
        }

        func upstreamReadComplete() {}

        func upstreamClosed(_ failure: UpstreamFailure) {
            self.expect(true, "closed")
            self.failure = failure
        }

        /// The message, once, when it is complete.
        func takeMessage() -> ReadMessages.Message? {
            guard self.hasEnded else { return nil }
            defer { self.message = nil }
            return self.message
        }
    }
}
