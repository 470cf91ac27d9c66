import Glibc
import NIOCore

/// One client connection for its whole life: finds request after request in the bytes, decides the plane of
/// each, lets one exchange answer at a time, and keeps pipelined bytes until then. The same for plain TCP, TLS
/// and one stream of HTTP/2, which come to it as the same bytes.
///
/// Its state is `phase` and one `deadline`; both change together, and only the methods of this type change them.
final class ClientConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What the connection is doing. Goes round: waiting → admitting → collecting → busy → waiting; from any of
    /// them to closing → lingering → closed.
    enum Phase {
        /// A request head is not complete.
        case waiting
        /// The head is complete; whether the body is wanted is being decided. Nothing of it is read.
        case admitting(PendingRequest)
        /// The body is wanted and not complete.
        case collecting(PendingRequest)
        /// A request is being answered.
        case busy
        /// The last reply is on its way to the socket; the connection closes behind it.
        case closing(lingers: Bool)
        /// Everything was sent and our side is closed; this many more bytes of the client's are thrown away, so
        /// that what it still sends does not reset the connection under the reply (RFC 9112 §9.6).
        case lingering(bytesLeft: Int)
        case closed
    }

    let loop: LoopContext
    let transport: ListenerTransport
    /// The peer of the socket: a client, or a trusted proxy in front of it.
    let peer: ClientAddress
    var phase: Phase = .waiting
    var inbox = ByteBuffer()
    var headSearch: RequestHeadSearch
    var context: ChannelHandlerContext?
    var exchange: Exchange?
    var controlTask: Task<Void, Never>?
    var controlWriter: ControlReplyWriter?
    var closesAfterReply = false
    /// Only the end of the connection will tell the end of the reply that runs (HTTP/1.0).
    var endsReplyByClosing = false
    /// The reply that runs says that its connection closes.
    var saidClose = false
    /// Bytes of a request that was refused may still come.
    var lingersAfterReply = false
    /// The client closed its sending side.
    var inputEnded = false
    /// When the state that the connection is in has lasted too long.
    var deadline: NIODeadline = .distantFuture
    var servedOne = false
    /// Request bytes held here that count against the process' budget.
    var budgeted = 0
    private var readsPaused = false
    private var isAdvancing = false
    /// Others of this loop have their turn before the next request is looked at.
    private var isYielding = false
    /// When the body that is being collected must be complete.
    var bodyEndsBy: NIODeadline = .distantFuture
    /// `Authorization` of the last request with its digests: a keep-alive client sends the same again and
    /// again.
    var lastAuthorization = AuthorizationMemo()
    /// Bytes on their way out; written once per flush.
    var outbox = ByteBuffer()
    /// nil: what is sent always goes through the pipeline.
    var direct: DirectOutput?
    /// Bytes of replies so far, framing included.
    var bytesSent = 0

    /// One connection too many of its address: told so, and closed.
    private let isRefused: Bool

    init(loop: LoopContext, transport: ListenerTransport, peer: ClientAddress, isRefused: Bool) {
        self.loop = loop
        self.isRefused = isRefused
        self.transport = transport
        self.peer = peer
        self.headSearch = RequestHeadSearch(limits: loop.headLimits)
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if self.transport == .plain { self.direct = DirectOutput(of: context.channel) }
        self.deadline = .now() + self.loop.configuration.timeouts.clientHead
        self.loop.register(self)
    }

    func channelActive(context: ChannelHandlerContext) {
        if self.isRefused { self.refuseConnection() }
        context.fireChannelActive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        // Once more for a pipeline that is torn down without having been active.
        self.loop.unregister(self)
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        switch self.phase {
        case .closing, .closed:
            return
        case .lingering(let left):
            self.discard(bytes.readableBytes, of: left)
            return
        case .waiting, .admitting, .collecting, .busy:
            if self.inbox.readableBytes == 0 { self.inbox = bytes } else { self.inbox.writeBuffer(&bytes) }
        }
        self.noteInput()
        self.advance()
        if self.inbox.readableBytes == 0 {
            self.inbox = ByteBuffer()
            // A stream's bytes are slices of what HTTP/2 still writes into.
            if self.transport != .http2 { self.loop.buffers.offer(bytes) }
        }
        self.updateReads()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.phase = .closed
        self.deadline = .distantFuture
        self.loop.unregister(self)
        self.forgetBody()
        self.controlTask?.cancel()
        self.controlTask = nil
        let exchange = self.exchange
        self.exchange = nil
        exchange?.clientGone()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent { self.inputClosed() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset, or a broken TLS record: the client is not there any more.
        context.close(promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        let writable = context.channel.isWritable
        switch self.phase {
        case .busy:
            // A client that takes nothing of what waits for it is gone, if only slowly.
            self.deadline = writable ? .distantFuture : .now() + self.loop.configuration.timeouts.clientWrite
        case .waiting where self.servedOne:
            self.awaitNext()
            if writable { self.goOn() }
        case .waiting, .admitting, .collecting, .closing, .lingering, .closed:
            // A reply that is the last one has its time, which no byte of it extends.
            break
        }
        self.exchange?.downstreamWritabilityChanged(writable)
        context.fireChannelWritabilityChanged()
    }

    /// FIN. A stream's client is gone with it; a reply that comes whole is still delivered to a client that only
    /// closed its sending side, once the request is on its way, and so is one whose last bytes are still here.
    private func inputClosed() {
        guard !self.inputEnded else { return }
        self.inputEnded = true
        switch self.phase {
        case .waiting:
            if !self.holdsRequests { self.closeAfterOutput() }
        case .admitting, .collecting, .lingering:
            self.abort()
        case .busy:
            if let exchange = self.exchange, !exchange.outlivesInput { self.abort() }
        case .closing, .closed:
            break
        }
    }

    // MARK: Time

    /// Called a few times per second.
    func checkDeadline(_ now: NIODeadline) {
        if let writer = self.controlWriter,
            writer.isStalled(since: now - self.loop.configuration.timeouts.clientWrite)
        {
            self.abort()
            return
        }
        guard now >= self.deadline else { return }
        switch self.phase {
        case .waiting where self.isHeldBack:
            self.abort()
        case .waiting where self.inbox.readableBytes == 0:
            // Idle: there is nothing that could be answered. Its last reply may still be on its way.
            self.closeAfterOutput()
        case .waiting:
            self.refuseUnparsed(.requestTimeout, "The request head did not arrive in time.")
        case .collecting(let request):
            self.refuseCollected(
                Refusal(.requestTimeout, "The request body did not arrive in time."), request)
        case .busy, .closing, .lingering:
            self.abort()
        case .admitting, .closed:
            self.deadline = .distantFuture
        }
    }

    private func noteInput() {
        switch self.phase {
        case .waiting:
            // The head's time runs from its first byte, and no later byte moves it.
            if self.servedOne, !self.hasHeadBegun, !self.isHeldBack {
                self.hasHeadBegun = true
                self.deadline = .now() + self.loop.configuration.timeouts.clientHead
            }
        case .collecting:
            self.deadline = min(.now() + self.loop.configuration.timeouts.clientBody, self.bodyEndsBy)
        case .admitting, .busy, .closing, .lingering, .closed:
            break
        }
    }

    /// Bytes of the request that `waiting` waits for have come.
    private var hasHeadBegun = false

    /// Waits for the next request of a connection that served one.
    func awaitNext() {
        self.servedOne = true
        self.phase = .waiting
        self.hasHeadBegun = self.inbox.readableBytes > 0
        let timeouts = self.loop.configuration.timeouts
        let patience =
            self.isHeldBack
            ? timeouts.clientWrite : self.hasHeadBegun ? timeouts.clientHead : timeouts.keepAlive
        self.deadline = .now() + patience
    }

    /// The client has not taken the reply before: nothing is added to it.
    private var isHeldBack: Bool { self.servedOne && !self.isWritable }

    /// Requests that are here will be looked at later.
    var holdsRequests: Bool { self.inbox.readableBytes > 0 && (self.isHeldBack || self.isYielding) }

    // MARK: Driving

    /// Takes what is here for the next request, and reads on.
    func goOn() {
        self.advance()
        self.updateReads()
        // What was sent before the FIN is answered; after it nothing comes.
        if self.inputEnded, case .waiting = self.phase, !self.holdsRequests { self.closeAfterOutput() }
    }

    /// One client's pipelined requests must not keep the loop from everybody else's streams.
    private static let headsPerTurn = 16

    /// Its turn came (`LoopContext.awaitTurn`).
    func takeTurn() {
        self.isYielding = false
        if case .waiting = self.phase { self.goOn() }
    }

    /// Takes requests from the inbox as far as they go, and as far as their replies are taken.
    func advance() {
        // A reply can end while it is begun: the loop that runs already goes on with the next request, so a
        // client that pipelines costs no stack.
        guard !self.isAdvancing else { return }
        self.isAdvancing = true
        defer { self.isAdvancing = false }
        var goesOn = true
        var heads = 0
        while goesOn, self.inbox.readableBytes > 0 {
            switch self.phase {
            case .waiting where self.isHeldBack || self.isYielding: goesOn = false
            case .waiting where heads == Self.headsPerTurn:
                self.isYielding = true
                self.loop.awaitTurn(self)
                goesOn = false
            case .waiting:
                heads += 1
                goesOn = self.parseHead()
            case .collecting(let request): goesOn = self.collect(request)
            case .admitting, .busy: goesOn = false
            case .closing, .lingering, .closed:
                self.inbox.clear()
                goesOn = false
            }
        }
    }

    /// Pauses reading while a client sends far ahead; a client that only waits stays watched for its end.
    func updateReads() {
        guard let context = self.context else { return }
        var pause = false
        switch self.phase {
        case .admitting, .busy:
            pause = self.inbox.readableBytes > self.loop.configuration.limits.pipelinedBytesMax
        case .waiting where self.holdsRequests:
            pause = self.inbox.readableBytes > self.loop.configuration.limits.pipelinedBytesMax
        case .waiting, .collecting, .closing, .lingering, .closed:
            break
        }
        guard pause != self.readsPaused else { return }
        self.readsPaused = pause
        // Setting an option on the channel's own loop is synchronous and fails only on a closed channel.
        try? context.channel.syncOptions?.setOption(.autoRead, value: !pause)
        // A stream of HTTP/2 does not begin to read again by itself, as a socket does.
        if !pause { context.read() }
    }
}

// MARK: - As the loop's table sees it

extension ClientConnection: ClientSession {
    /// Nothing more is expected of this connection: an idle one closes, a busy one after its reply.
    func quiesce() {
        switch self.phase {
        case .waiting where self.inbox.readableBytes == 0:
            self.closeAfterOutput()
        case .lingering:
            self.deadline = min(self.deadline, .now() + self.lingeringTime)
        case .waiting, .admitting, .collecting, .busy, .closing, .closed:
            self.closesAfterReply = true
        }
    }

    /// The client must see a broken message, or nothing at all. The exchange hears of it now: TLS can take seconds to
    /// say farewell, and what still comes meanwhile is not looked at.
    func abort() {
        let isSent = if case .lingering = self.phase { true } else { false }
        self.phase = .closed
        let exchange = self.exchange
        self.exchange = nil
        exchange?.clientGone()
        if self.endsReplyByClosing, !isSent { self.resetOnClose() }
        self.context?.close(mode: .all, promise: nil)
    }

    /// A FIN would say that the reply is complete, and so would TLS' farewell.
    private func resetOnClose() {
        if self.transport == .tls { self.context?.triggerUserOutboundEvent(TLSHandler.Cut(), promise: nil) }
        guard let channel = self.context?.channel as? any SocketOptionProvider else { return }
        // On the channel's own loop this is done when the call returns.
        _ = channel.setSoLinger(linger(l_onoff: 1, l_linger: 0))
    }

    /// Bytes of a reply are still on their way.
    var isAnswering: Bool {
        switch self.phase {
        case .admitting, .collecting, .busy, .closing, .lingering: true
        case .waiting: self.isHeldBack || self.isYielding
        case .closed: false
        }
    }
}
