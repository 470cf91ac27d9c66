import NIOCore
import NIOEmbedded
import NIOHTTP1

@testable import Proxy

/// What NIOHTTP1's decoder (llhttp underneath) makes of the bytes of a connection.
enum ReferenceReader {
    /// - Parameter cuts: where the bytes are cut into reads, in order. The end of a message is known as exactly as they
    ///   are close to it.
    static func requests(_ bytes: [UInt8], cuts: [Int] = []) -> ReadMessages {
        let channel = EmbeddedChannel(
            handler: ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)))
        defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
        var parts = Parts()
        var fed = 0
        do {
            for piece in StrictReader.pieces(bytes, cuts) {
                fed += piece.count
                defer { self.takeRequests(from: channel, &parts, fed) }
                try channel.writeInbound(ByteBuffer(bytes: piece))
            }
        } catch {
            parts.result.end = .rejected
        }
        return parts.finish()
    }

    private static func takeRequests(from channel: EmbeddedChannel, _ parts: inout Parts, _ fed: Int) {
        while let part = try? channel.readInbound(as: HTTPServerRequestPart.self) {
            switch part {
            case .head(let head): parts.begin(.init(method: head.method.rawValue, target: head.uri))
            case .body(let body): parts.open?.body += Array(buffer: body)
            case .end: parts.end(at: fed)
            }
        }
    }

    /// - Parameter methods: of the requests that were sent.
    static func responses(_ bytes: [UInt8], methods: [RequestHead.Method], cuts: [Int] = []) -> ReadMessages {
        let channel = EmbeddedChannel()
        defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
        var parts = Parts()
        var fed = 0
        do {
            try self.prepare(channel, methods)
            for piece in StrictReader.pieces(bytes, cuts) {
                fed += piece.count
                defer { self.takeResponses(from: channel, &parts, fed) }
                try channel.writeInbound(ByteBuffer(bytes: piece))
            }
        } catch {
            parts.result.end = .rejected
            return parts.result
        }
        // The connection ends: that completes a body without a length, and is an error in all others.
        channel.pipeline.fireChannelInactive()
        self.takeResponses(from: channel, &parts, fed)
        return parts.finish()
    }

    private static func prepare(_ channel: EmbeddedChannel, _ methods: [RequestHead.Method]) throws {
        try channel.pipeline.syncOperations.addHandlers([
            HTTPRequestEncoder(),
            ByteToMessageHandler(
                HTTPResponseDecoder(
                    leftOverBytesStrategy: .dropBytes, informationalResponseStrategy: .forward)),
        ])
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/x")).wait()
        for method in methods {
            let head = HTTPRequestHead(
                version: .http1_1, method: method == .head ? .HEAD : .GET, uri: "/", headers: ["host": "h"])
            try channel.writeOutbound(HTTPClientRequestPart.head(head))
            try channel.writeOutbound(HTTPClientRequestPart.end(nil))
        }
    }

    private static func takeResponses(from channel: EmbeddedChannel, _ parts: inout Parts, _ fed: Int) {
        while let part = try? channel.readInbound(as: HTTPClientResponsePart.self) {
            switch part {
            case .head(let head):
                let isInterim = (100..<200).contains(Int(head.status.code))
                if !isInterim { parts.begin(.init(status: Int(head.status.code))) }
            case .body(let body): parts.open?.body += Array(buffer: body)
            case .end: parts.end(at: fed)
            }
        }
    }

    /// Messages out of their parts.
    private struct Parts {
        var result = ReadMessages()
        var open: ReadMessages.Message?

        mutating func begin(_ message: ReadMessages.Message) { self.open = message }

        mutating func end(at fed: Int) {
            guard var message = self.open else { return }
            message.end = fed
            self.result.messages.append(message)
            self.open = nil
        }

        func finish() -> ReadMessages {
            var result = self.result
            if result.end == .clean, self.open != nil { result.end = .incomplete(.body) }
            return result
        }
    }
}
