import Glibc
import NIOCore
import NIOPosix

/// A client that says exactly the bytes a test wants said, and remembers what came back and how it ended.
final class WireClient: Sendable {
    struct State: Sendable {
        /// Received and not yet taken by `reply`.
        var bytes: [UInt8] = []
        var bytesReceived = 0
        /// Pieces of the drip that were sent.
        var dripped = 0
        /// Of what was offered.
        var bytesTaken = 0
        /// The server closed its sending side.
        var sawEnd = false
        var sawReset = false
        var isClosed = false
    }

    /// Sends one piece after the other, at its pace, from the moment of the connection until there is none or the server
    /// has closed its side. Runs on the channel's loop: a test that has to wait for its turn changes nothing of it.
    struct Drip: Sendable {
        let pace: TimeAmount
        let piece: @Sendable (Int) -> [UInt8]?

        init(every pace: TimeAmount, _ piece: @escaping @Sendable (Int) -> [UInt8]?) {
            self.pace = pace
            self.piece = piece
        }
    }

    let watched: Watched<State>
    private let channel: any Channel

    private init(_ channel: any Channel, _ watched: Watched<State>) {
        self.channel = channel
        self.watched = watched
    }

    /// - Parameters:
    ///   - receiveBuffer: size of the kernel's receive buffer, for a client that is soon full.
    ///   - keepsBytes: false: only counted.
    ///   - saying: sent the moment it is connected, however busy the test is.
    ///   - dripping: sent behind that.
    ///   - onRead: called on the channel's loop for whatever came, once it is in the state.
    static func connect(
        port: Int, host: String = "127.0.0.1", receiveBuffer: Int? = nil, keepsBytes: Bool = true,
        saying text: String = "", dripping drip: Drip? = nil,
        onRead: (@Sendable (Watched<State>, any Channel) -> Void)? = nil
    ) async throws -> WireClient {
        let watched = Watched(State())
        var bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        WireClientHandler(
                            watched, keepsBytes: keepsBytes, saying: text, dripping: drip, onRead: onRead))
                }
            }
        if let receiveBuffer {
            bootstrap = bootstrap.channelOption(
                .socketOption(.so_rcvbuf), value: SocketOptionValue(receiveBuffer))
        }
        return WireClient(try await bootstrap.connect(host: host, port: port).get(), watched)
    }

    var state: State { self.watched.state }

    // MARK: What it does

    func send(_ text: String) async throws { try await self.send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) async throws {
        try await self.channel.writeAndFlush(ByteBuffer(bytes: bytes))
    }

    /// Does not wait for the socket to take the bytes, nor mind when it never does.
    func offer(_ bytes: [UInt8]) {
        self.channel.writeAndFlush(ByteBuffer(bytes: bytes)).whenSuccess { [watched] in
            watched.update { $0.bytesTaken += bytes.count }
        }
    }

    /// Waits until the kernel takes no more of what was offered. Returns the bytes that it took.
    func stalls() async -> Int {
        var last = -1
        while case let now = self.state.bytesTaken, now != last {
            last = now
            _ = await self.watched.until(within: .milliseconds(400)) { $0.bytesTaken > now }
        }
        return last
    }

    /// Each byte in a segment of its own.
    func sendByteByByte(_ bytes: [UInt8]) async throws {
        for byte in bytes { try await self.channel.writeAndFlush(ByteBuffer(bytes: [byte])) }
    }

    /// FIN: nothing more is sent, everything is still read.
    func finish() async throws { try await self.channel.close(mode: .output) }

    /// FIN in both directions.
    func close() async {
        try? await self.channel.close()
        await self.closed()
    }

    /// RST.
    func reset() async {
        try? await (self.channel as? any SocketOptionProvider)?
            .setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        await self.close()
    }

    func pause() async throws { try await self.setReads(false) }
    func resume() async throws { try await self.setReads(true) }

    private func setReads(_ on: Bool) async throws {
        try await self.channel.setOption(.autoRead, value: on).get()
    }

    private func closed() async { _ = await self.watched.until { $0.isClosed } }

    // MARK: What it sees

    /// Whatever its kernel has is read.
    func looksAgain() async throws {
        for _ in 0..<2 { try await self.channel.eventLoop.submit {}.get() }
    }

    /// The next reply, interim ones before it included.
    ///
    /// - Parameter headOnly: the request was a HEAD.
    func reply(headOnly: Bool = false, within limit: TimeAmount = Watched<State>.patience) async throws
        -> WireReply
    {
        let came = await self.watched.until(within: limit) { state in
            WireReply.parse(state.bytes, headOnly: headOnly, atEnd: state.sawEnd) != nil || state.sawReset
                || state.sawEnd
        }
        let reply = self.watched.update { state -> WireReply? in
            guard let (reply, count) = WireReply.parse(state.bytes, headOnly: headOnly, atEnd: state.sawEnd)
            else { return nil }
            state.bytes.removeFirst(count)
            return reply
        }
        guard came, let reply else {
            let state = self.state
            throw NeverHappened(
                "a whole reply; got '\(String(decoding: state.bytes, as: UTF8.self))', "
                    + "ended: \(state.sawEnd), "
                    + "reset: \(state.sawReset)")
        }
        return reply
    }

    /// Waits for the end of the connection, however it comes. Returns what came before it and was not taken.
    func end(within limit: TimeAmount = Watched<State>.patience) async throws -> String {
        guard await self.watched.until(within: limit, { $0.sawEnd || $0.sawReset }) else {
            throw NeverHappened("the connection's end; got \(self.state.bytesReceived) bytes")
        }
        return String(decoding: self.state.bytes, as: UTF8.self)
    }

    /// Waits until the bytes received and not taken contain `text`.
    func received(_ text: String) async throws {
        let wanted = Array(text.utf8)
        guard await self.watched.until({ $0.bytes.end(of: wanted) != nil }) else {
            throw NeverHappened("'\(text)'; got '\(String(decoding: self.state.bytes, as: UTF8.self))'")
        }
    }
}

private final class WireClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let watched: Watched<WireClient.State>
    private let keepsBytes: Bool
    private let text: String
    private let drip: WireClient.Drip?
    private let onRead: (@Sendable (Watched<WireClient.State>, any Channel) -> Void)?

    init(
        _ watched: Watched<WireClient.State>, keepsBytes: Bool, saying text: String,
        dripping drip: WireClient.Drip?,
        onRead: (@Sendable (Watched<WireClient.State>, any Channel) -> Void)?
    ) {
        self.watched = watched
        self.keepsBytes = keepsBytes
        self.text = text
        self.drip = drip
        self.onRead = onRead
    }

    func channelActive(context: ChannelHandlerContext) {
        if !self.text.isEmpty {
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: self.text)), promise: nil)
        }
        guard let drip = self.drip else { return }
        let (watched, channel) = (self.watched, context.channel)
        channel.eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: drip.pace) { task in
            guard !watched.state.sawEnd, let next = drip.piece(watched.state.dripped) else {
                task.cancel()
                return
            }
            watched.update { $0.dripped += 1 }
            channel.writeAndFlush(ByteBuffer(bytes: next), promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = self.unwrapInboundIn(data)
        let keeps = self.keepsBytes
        self.watched.update { state in
            state.bytesReceived += bytes.readableBytes
            if keeps { state.bytes += bytes.readableBytesView }
        }
        self.onRead?(self.watched, context.channel)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent { self.watched.update { $0.sawEnd = true } }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.watched.update { state in
            state.sawEnd = true
            state.isClosed = true
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if (error as? IOError)?.errnoCode == ECONNRESET { self.watched.update { $0.sawReset = true } }
        context.close(promise: nil)
    }
}

/// One reply, parsed by other code than the one under test.
struct WireReply: Sendable {
    var status = 0
    /// Statuses of the interim replies before it.
    var interim: [Int] = []
    /// Names in lower case.
    var fields: [(name: String, value: String)] = []
    var body: [UInt8] = []
    var isChunked = false

    var text: String { String(decoding: self.body, as: UTF8.self) }
    var closes: Bool { self["connection"] == "close" }
    /// `error.code` of OpenAI's shape, or `code` of the runbook's.
    var code: String? {
        guard let at = self.body.end(of: Array("\"code\":\"".utf8)) else { return nil }
        return String(decoding: self.body[at...].prefix { $0 != UInt8(ascii: "\"") }, as: UTF8.self)
    }

    subscript(name: String) -> String? { self.fields.first { $0.name == name }?.value }

    /// nil: not complete.
    ///
    /// - Parameter atEnd: nothing more comes, so that a close-delimited body is complete.
    static func parse(_ bytes: [UInt8], headOnly: Bool, atEnd: Bool) -> (reply: WireReply, count: Int)? {
        var reply = WireReply()
        var at = 0
        while let end = Array(bytes[at...]).end(of: Array("\r\n\r\n".utf8)).map({ $0 + at }) {
            let head = String(decoding: bytes[at..<end - 4], as: UTF8.self)
            at = end
            let lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)
            reply.status = Int(lines[0].split(separator: " ").dropFirst().first ?? "") ?? -1
            if reply.status / 100 == 1 {
                reply.interim.append(reply.status)
                continue
            }
            reply.fields = lines.dropFirst().map { line in
                let parts = line.split(separator: ":", maxSplits: 1)
                return (parts[0].lowercased(), String(parts.last?.drop { $0 == " " } ?? ""))
            }
            return reply.parseBody(bytes, from: at, headOnly: headOnly, atEnd: atEnd)
        }
        return nil
    }

    private mutating func parseBody(
        _ bytes: [UInt8], from: Int, headOnly: Bool, atEnd: Bool
    ) -> (reply: WireReply, count: Int)? {
        if headOnly || self.status == 204 || self.status == 304 { return (self, from) }
        if let length = self["content-length"].flatMap({ Int($0) }) {
            guard bytes.count >= from + length else { return nil }
            self.body = Array(bytes[from..<from + length])
            return (self, from + length)
        }
        self.isChunked = self["transfer-encoding"] == "chunked"
        guard self.isChunked else {
            self.body = Array(bytes[from...])
            return atEnd ? (self, bytes.count) : nil
        }
        var at = from
        while let lineEnd = bytes[at...].firstIndex(of: 10) {
            guard let size = Int(String(decoding: bytes[at..<lineEnd - 1], as: UTF8.self), radix: 16),
                bytes.count >= lineEnd + 1 + size + 2
            else { return nil }
            self.body += bytes[lineEnd + 1..<lineEnd + 1 + size]
            at = lineEnd + 1 + size + 2
            if size == 0 { return (self, at) }
        }
        return nil
    }
}

extension Array where Element == UInt8 {
    /// Where the first occurrence of `wanted` ends.
    func end(of wanted: [UInt8]) -> Int? {
        self.withUnsafeBytes { all in
            var at = 0
            while at + wanted.count <= all.count, let base = all.baseAddress,
                let hit = memchr(base + at, Int32(wanted[0]), all.count - at)
            {
                at = hit - UnsafeMutableRawPointer(mutating: base)
                if at + wanted.count <= all.count, memcmp(hit, wanted, wanted.count) == 0 {
                    return at + wanted.count
                }
                at += 1
            }
            return nil
        }
    }
}

extension String {
    /// Compares bytes: a CRLF is one character of a String, so that `contains` would not find half of it.
    func holds(_ text: String) -> Bool { Array(self.utf8).end(of: Array(text.utf8)) != nil }
}
