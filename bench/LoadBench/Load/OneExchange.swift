import NIOCore
import NIOPosix

/// One exchange on a connection of its own, for all that is not load.
enum OneExchange {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    private static let timeout = TimeAmount.seconds(120)

    /// - Parameter request: whole, with `Connection: close`.
    /// - Returns: the reply, with the end of its body.
    static func send(_ request: [UInt8], to target: LoadTarget, on loop: any EventLoop) -> EventLoopFuture<
        ReplyReader
    > {
        let promise = loop.makePromise(of: ReplyReader.self)
        let timeout = loop.scheduleTask(in: Self.timeout) {
            promise.fail(
                Failure(description: "\(target.host):\(target.port) did not answer within two minutes"))
        }
        promise.futureResult.whenComplete { _ in timeout.cancel() }
        ClientBootstrap(group: loop)
            .connectTimeout(.seconds(10))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try target.add(OneExchangeHandler(ByteBuffer(bytes: request), promise), to: channel)
                }
            }
            .connect(host: target.host, port: target.port)
            .whenComplete { result in
                switch result {
                case .success(let channel):
                    promise.futureResult.whenComplete { _ in channel.close(promise: nil) }
                case .failure(let error):
                    promise.fail(
                        Failure(description: "\(target.host):\(target.port) cannot be reached: \(error)"))
                }
            }
        return promise.futureResult
    }
}

/// Sends one request and reads its reply.
private final class OneExchangeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let request: ByteBuffer
    private var reader = ReplyReader(keepsTail: true)
    private let promise: EventLoopPromise<ReplyReader>

    init(_ request: ByteBuffer, _ promise: EventLoopPromise<ReplyReader>) {
        self.request = request
        self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(self.wrapOutboundOut(self.request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = self.unwrapInboundIn(data)
        do {
            let isDone = try buffer.withUnsafeReadableBytes { try self.reader.feed($0) }
            guard isDone else { return }
            self.promise.succeed(self.reader)
        } catch { self.promise.fail(error) }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if self.reader.close() { self.promise.succeed(self.reader) }
        if !self.reader.isDone {
            self.promise.fail(OneExchange.Failure(description: "the peer closed before its reply was whole"))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.promise.fail(error)
        context.close(promise: nil)
    }
}
