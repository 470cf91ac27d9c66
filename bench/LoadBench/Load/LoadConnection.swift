import NIOCore

/// One client connection, with at most one exchange at a time. Lives on the loop of its `LoadLoop`.
final class LoadConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// An exchange that is under way.
    struct Exchange {
        var template: Int
        var kind: ClientKind
        /// When it was due (open loop) or began (closed loop).
        var began: NIODeadline
        var isMeasured: Bool
        var reader: ReplyReader
        var lastArrival: NIODeadline?
        var timeout: Scheduled<Void>?
    }

    private let load: LoadLoop
    private var context: ChannelHandlerContext?
    private var exchange: Exchange?
    /// The next read of a slow client.
    private var slowRead: Scheduled<Void>?

    /// What a slow client takes from its socket at a time, and how often.
    private static let slowReadBytes = 1024
    private static let slowReadInterval = TimeAmount.milliseconds(20)

    init(_ load: LoadLoop) { self.load = load }

    // MARK: What the loop asks for

    func send(_ request: ByteBuffer, for exchange: Exchange) {
        guard let context = self.context else { return }
        self.exchange = exchange
        self.exchange?.timeout = self.load.scheduleTimeout { [weak self] in self?.end(.failed("timeout")) }
        if exchange.kind == .slow { self.readSlowly(context) }
        context.writeAndFlush(self.wrapOutboundOut(request), promise: nil)
    }

    func close() { self.context?.close(promise: nil) }

    var isOpen: Bool { self.context != nil }

    // MARK: Events of the channel

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        self.load.isReady(self)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = self.unwrapInboundIn(data)
        let now = NIODeadline.now()
        guard self.exchange != nil else {
            // Nobody asked for anything: the connection is of no use any more.
            return context.close(promise: nil)
        }
        self.load.received(buffer.readableBytes, at: now)
        do throws(ReplyFault) { try self.read(buffer, now) } catch {
            self.end(.failed("reply: \(error.rawValue)"))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        if var exchange = self.exchange {
            let isComplete = exchange.reader.close()
            self.exchange?.reader = exchange.reader
            self.end(isComplete ? .complete : .failed(exchange.reader.status == nil ? "no reply" : "cut"))
        }
        self.load.isGone(self)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if self.exchange != nil { self.end(.failed(FaultName.open(error))) }
        context.close(promise: nil)
    }

    // MARK: The reply

    private func read(_ buffer: ByteBuffer, _ now: NIODeadline) throws(ReplyFault) {
        guard var exchange = self.exchange else { return }
        // Moved out and back, so that its arrays are not copied.
        self.exchange = nil
        let (bytes, events) = (exchange.reader.bodyBytes, exchange.reader.events)
        let isDone: Bool
        do throws(ReplyFault) {
            isDone = try Self.feed(buffer, &exchange.reader)
        } catch {
            self.exchange = exchange
            throw error
        }
        if exchange.reader.bodyBytes > bytes {
            self.load.arrived(
                exchange, first: bytes == 0, events: exchange.reader.events - events,
                last: exchange.lastArrival, at: now)
            exchange.lastArrival = now
        }
        self.exchange = exchange
        if isDone {
            self.end(.complete)
        } else if exchange.kind == .disconnecting, self.load.isTimeToLeave(exchange) {
            self.end(.left)
        }
    }

    private static func feed(_ buffer: ByteBuffer, _ reader: inout ReplyReader) throws(ReplyFault) -> Bool {
        // The closure of NIO does not carry a typed error.
        let result = buffer.withUnsafeReadableBytes { bytes -> Result<Bool, ReplyFault> in
            do throws(ReplyFault) { return .success(try reader.feed(bytes)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    private func end(_ end: LoadLoop.End) {
        guard let exchange = self.exchange else { return }
        self.exchange = nil
        exchange.timeout?.cancel()
        if self.slowRead != nil { self.readAtOnce() }
        let mayGoOn = end == .complete && !exchange.reader.isLast
        if !mayGoOn { self.context?.close(promise: nil) }
        self.load.ended(exchange, end, on: self, mayGoOn: mayGoOn)
    }

    // MARK: Slow clients

    private func readSlowly(_ context: ChannelHandlerContext) {
        let options = context.channel.syncOptions
        try? options?.setOption(
            .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.slowReadBytes))
        try? options?.setOption(.maxMessagesPerRead, value: 1)
        try? options?.setOption(.autoRead, value: false)
        self.readAgain()
    }

    private func readAgain() {
        self.slowRead = self.load.schedule(in: Self.slowReadInterval) { [weak self] in
            guard let self, let context = self.context else { return }
            context.read()
            self.readAgain()
        }
    }

    private func readAtOnce() {
        self.slowRead?.cancel()
        self.slowRead = nil
        let options = self.context?.channel.syncOptions
        try? options?.setOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator())
        try? options?.setOption(.maxMessagesPerRead, value: 4)
        try? options?.setOption(.autoRead, value: true)
    }
}

enum ClientKind: Sendable { case patient, disconnecting, slow, shortOfMoney }
