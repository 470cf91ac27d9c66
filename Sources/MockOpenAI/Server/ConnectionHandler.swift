import NIOCore

/// One connection: reads requests, answers them one after the other, never holds more than a water mark of
/// output.
///
/// Every event either starts something (`advance`) or continues it (`pump`, `drip`); `phase` says which.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase: Equatable {
        /// Waiting for a request. Can become: any other.
        case idle
        /// The barrier withholds the reply; the value is our ticket. Can become: any of the phases below,
        /// closed.
        case held(Int)
        /// The time to the first byte runs. Can become: streaming, dripping, idle, closed.
        case delayed
        /// Frames are produced as pace and peer permit. Can become: dripping, stalled, idle, closed.
        case streaming
        /// Log rows are sent as the peer permits. Can become: idle, closed.
        case listing
        /// `output` leaves in small pieces. Can become: streaming, stalled, idle, closed.
        case dripping
        /// Nothing more is sent; ends when the peer goes away.
        case stalled
        /// Our side is closed, the rest of the peer's is read and dropped.
        case lingering
        case closed
    }

    /// What happens after some output.
    enum Next {
        case pump, stall
        case finish(completed: Bool, Ending)
    }

    enum Ending { case nextRequest, close, reset, linger }

    let shared: SharedState
    var context: ChannelHandlerContext?
    var phase = Phase.idle
    var exchange: Exchange?
    var date = HTTPDate()
    var startedAt = NIODeadline.uptimeNanoseconds(0)
    var scratch = ByteBuffer()
    var timer: Scheduled<Void>?
    /// Pieces still to go out in `dripping`, and what comes after them.
    var output = ByteBuffer()
    var afterOutput = Next.stall
    var dripCount: UInt64 = 0
    /// Log rows still to go out in `listing`.
    var rows: ArraySlice<ByteBuffer> = []
    var listKeepsAlive = true
    private var input = ByteBuffer()
    private var decoder: RequestDecoder
    private var advancing = false

    init(_ shared: SharedState) {
        self.shared = shared
        decoder = RequestDecoder(bodyBytesMax: shared.configuration.bodyBytesMax)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { shared.opened(context.channel) }
    }

    func channelActive(context: ChannelHandlerContext) { shared.opened(context.channel) }

    func channelInactive(context: ChannelHandlerContext) {
        if case .held(let ticket) = phase { shared.barrier.abandon(ticket) }
        phase = .closed
        timer?.cancel()
        timer = nil
        if exchange != nil { _ = conclude(completed: false) }
        shared.closed(context.channel)
        self.context = nil
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Resets and TLS alerts of the peer; the close ends the exchange as not completed.
        context.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard phase != .lingering, phase != .closed else { return }
        var bytes = unwrapInboundIn(data)
        if input.readableBytes == 0 {
            input = bytes
        } else {
            input.writeBuffer(&bytes)
        }
        if phase != .idle, input.readableBytes > shared.configuration.bodyBytesMax {
            // A peer that pipelines without reading replies.
            context.close(promise: nil)
            return
        }
        advance()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            switch phase {
            case .idle: advance()
            case .streaming: pump()
            case .listing: list()
            default: break
            }
        }
        context.fireChannelWritabilityChanged()
    }

    /// Takes up requests while there are some and nothing else is going on.
    func advance() {
        guard !advancing else { return }
        advancing = true
        defer { advancing = false }
        while phase == .idle, let context, context.channel.isWritable, input.readableBytes > 0 {
            switch decoder.next(&input) {
            case .needMore:
                if refusesEarly() { refuseEarly() }
                return
            case .sendContinue:
                if refusesEarly() { return refuseEarly() }
                context.writeAndFlush(
                    wrapOutboundOut(ByteBuffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
            case .request(let request):
                if input.readableBytes == 0 { input = ByteBuffer() }
                begin(request)
            case .refuse(let status):
                refuse(status)
            }
        }
    }

    private func begin(_ request: MockRequest) {
        guard let context else { return }
        if request.path.readableBytesView.starts(with: "/_mock/".utf8) { return control(request) }
        exchange = Exchange(
            request, arrival: shared.arrived(), identity: shared.nextIdentity(), logged: shared.log.isOn)
        guard let (ticket, released) = shared.barrier.enter(on: context.eventLoop) else {
            return route(request)
        }
        phase = .held(ticket)
        released.assumeIsolated().whenSuccess {
            guard self.phase == .held(ticket) else { return }
            self.route(request)
        }
    }

    /// Whether the request whose body is still under way asks for an answer before its body is read.
    private func refusesEarly() -> Bool {
        guard let pending = decoder.pending else { return false }
        func asks(_ bytes: ByteBuffer) -> Bool {
            bytes.withUnsafeReadableBytes {
                ReplySeed.contains($0, 0..<min($0.count, 4_096), "early_error")
            }
        }
        return asks(pending.directives ?? ByteBuffer()) || asks(pending.body) || asks(input)
    }

    private func refuseEarly() {
        guard let pending = decoder.pending else { return }
        exchange = Exchange(
            pending, arrival: shared.arrived(), identity: shared.nextIdentity(), logged: shared.log.isOn)
        exchange?.row.faults = .earlyError
        input = ByteBuffer()
        fail(.tooEarly, ending: .linger)
    }

    /// Input that is not HTTP gets an answer, but no row: there was no request.
    private func refuse(_ status: Int) {
        guard let context else { return }
        var body = ByteBuffer()
        ErrorBody(status, "The request could not be read.").writePretty(into: &body)
        var out = head(status, .json, .length(body.readableBytes), keepAlive: false, shared.nextIdentity())
        out.writeImmutableBuffer(body)
        phase = .lingering
        context.writeAndFlush(wrapOutboundOut(out), promise: nil)
        linger()
    }

    func head(
        _ status: Int, _ type: ReplyHead.ContentType, _ framing: ReplyHead.Framing, keepAlive: Bool,
        gzip: Bool = false,
        _ identity: (UInt64, UInt64)
    ) -> ByteBuffer {
        _ = date.now()
        var out = context?.channel.allocator.buffer(capacity: 4_096) ?? ByteBuffer()
        let head = ReplyHead(
            status: status, contentType: type, framing: framing, keepAlive: keepAlive, gzip: gzip,
            requestID: identity)
        head.write(date: date.text, into: &out)
        return out
    }

    /// Ends the exchange: its row goes into the log. Returns what a failed last write has to correct.
    func conclude(completed: Bool) -> (row: ServedRow, place: ServedLog.Place)? {
        guard let ended = exchange else { return nil }
        exchange = nil
        shared.ended()
        guard shared.log.isOn else { return nil }
        var row = ended.finalRow(completed: completed)
        guard let place = shared.log.append(&row) else { return nil }
        return (row, place)
    }
}
