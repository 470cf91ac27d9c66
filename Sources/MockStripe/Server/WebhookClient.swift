import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

/// One POST per connection, as plain as a webhook needs it.
struct WebhookClient: Sendable {
    let group: any EventLoopGroup
    let timeout: TimeAmount

    /// The status of the answer, 0 when there was none in time.
    func post(_ delivery: Delivery) async -> Int {
        guard let url = URL(string: delivery.url), url.scheme == "http",
            let host = url.host(percentEncoded: false)
        else { return 0 }
        do {
            let port = url.port ?? 80
            let path =
                url.path(percentEncoded: true) + (url.query(percentEncoded: true).map { "?" + $0 } ?? "")
            var head = HTTPRequestHead(version: .http1_1, method: .POST, uri: path.isEmpty ? "/" : path)
            head.headers = [
                "Host": "\(host):\(port)", "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
                "Content-Type": "application/json; charset=utf-8", "Accept": "*/*; q=0.5, application/xml",
                "Stripe-Signature": delivery.signature, "Content-Length": String(delivery.body.utf8.count),
                "Connection": "close",
            ]
            return try await self.exchange(head, delivery.body, host: host, port: port)
        } catch {
            return 0
        }
    }

    private func exchange(_ head: HTTPRequestHead, _ body: String, host: String, port: Int) async throws
        -> Int
    {
        let channel = try await ClientBootstrap(group: self.group)
            .connectTimeout(self.timeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                }
            }
            .connect(host: host, port: port).get()
        let status = channel.eventLoop.makePromise(of: Int.self)
        return try await withTaskCancellationHandler {
            let sent = channel.eventLoop.submit {
                try channel.pipeline.syncOperations.addHandler(StatusReader(status))
                channel.write(HTTPClientRequestPart.head(head), promise: nil)
                channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(string: body))), promise: nil)
                channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
            }
            sent.whenFailure { status.fail($0) }
            let alarm = channel.eventLoop.scheduleTask(in: self.timeout) { channel.close(promise: nil) }
            defer {
                alarm.cancel()
                channel.close(promise: nil)
            }
            return try await status.futureResult.get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }
}

/// The status of the first complete answer; an error when the connection ends before it.
private final class StatusReader: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let promise: EventLoopPromise<Int>
    private var status = 0

    init(_ promise: EventLoopPromise<Int>) { self.promise = promise }

    func handlerAdded(context: ChannelHandlerContext) {
        if !context.channel.isActive { self.promise.fail(ChannelError.ioOnClosedChannel) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.unwrapInboundIn(data) {
        case .head(let head): self.status = Int(head.status.code)
        case .body: break
        case .end: self.promise.succeed(self.status)
        }
    }

    func channelInactive(context: ChannelHandlerContext) { self.promise.fail(ChannelError.eof) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.promise.fail(error)
        context.close(promise: nil)
    }
}
