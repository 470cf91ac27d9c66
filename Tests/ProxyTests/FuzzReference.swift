import NIOCore
import NIOEmbedded
import NIOHTTP1

@testable import Proxy

/// What NIOHTTP1's decoder (llhttp underneath) makes of the bytes of a connection.
enum ReferenceReader {
    static func requests(_ bytes: [UInt8]) -> ReadMessages {
        let channel = EmbeddedChannel(
            handler: ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)))
        defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
        var result = ReadMessages()
        do {
            try channel.writeInbound(ByteBuffer(bytes: bytes))
        } catch {
            result.end = .rejected
        }
        var open: ReadMessages.Message?
        while let part = try? channel.readInbound(as: HTTPServerRequestPart.self) {
            switch part {
            case .head(let head): open = .init(method: head.method.rawValue, target: head.uri)
            case .body(let body): open?.body += Array(buffer: body)
            case .end:
                if let message = open { result.messages.append(message) }
                open = nil
            }
        }
        if result.end == .clean, open != nil { result.end = .incomplete }
        return result
    }

    /// - Parameter count: requests that were sent, all GET.
    static func responses(_ bytes: [UInt8], count: Int) -> ReadMessages {
        let channel = EmbeddedChannel()
        var result = ReadMessages()
        do {
            try channel.pipeline.syncOperations.addHandlers([
                HTTPRequestEncoder(),
                ByteToMessageHandler(
                    HTTPResponseDecoder(
                        leftOverBytesStrategy: .dropBytes, informationalResponseStrategy: .forward)),
            ])
            try channel.connect(to: SocketAddress(unixDomainSocketPath: "/x")).wait()
            for _ in 0..<count {
                let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/", headers: ["host": "h"])
                try channel.writeOutbound(HTTPClientRequestPart.head(head))
                try channel.writeOutbound(HTTPClientRequestPart.end(nil))
            }
            try channel.writeInbound(ByteBuffer(bytes: bytes))
            // The connection ends: that completes a body without a length.
            channel.pipeline.fireChannelInactive()
            try channel.throwIfErrorCaught()
        } catch {
            result.end = .rejected
        }
        var open: ReadMessages.Message?
        while let part = try? channel.readInbound(as: HTTPClientResponsePart.self) {
            switch part {
            case .head(let head):
                let isInterim = (100..<200).contains(Int(head.status.code))
                open = isInterim ? nil : .init(status: Int(head.status.code))
            case .body(let body): open?.body += Array(buffer: body)
            case .end:
                if let message = open { result.messages.append(message) }
                open = nil
            }
        }
        if result.end == .clean, open != nil { result.end = .incomplete }
        _ = try? channel.finish(acceptAlreadyClosed: true)
        return result
    }
}
