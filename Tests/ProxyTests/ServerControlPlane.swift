import NIOCore

@testable import Proxy

/// A control plane with one answer per path; the others echo the request's body.
final class FakeControlPlane: ControlPlaneResponding {
    struct State: Sendable {
        var requests: [String] = []
        /// Requests for `/api/held` that wait for `release()`.
        var isReleased = false
        var cancelled = 0
        /// Bytes of `/api/large` that the socket took.
        var largeBytesWritten = 0
    }

    struct Broken: Error {}

    let watched = Watched(State())

    static let largePieces = 512
    static let largePiece = ByteBuffer(repeating: UInt8(ascii: "y"), count: 64 << 10)

    func release() { self.watched.update { $0.isReleased = true } }

    func respond(to request: ControlRequest, writer: any ControlResponseWriting) async throws {
        self.watched.update { $0.requests.append("\(request.method) \(request.target)") }
        switch request.target {
        case "/api/health": try await Self.answer("{\"ok\":true}", writer)
        case "/api/chunked": try await Self.answer(pieces: ["one ", "two ", "three"], writer)
        case "/api/large": try await self.answerLarge(writer)
        case "/api/held":
            try await self.hold()
            try await Self.answer("released", writer)
        case "/api/broken":
            try await writer.head(Self.head(200, [("content-length", "10")]))
            throw Broken()
        default:
            try await Self.answer(String(buffer: request.body), writer)
        }
    }

    private static func head(_ status: Int, _ fields: [(String, String)]) -> ControlResponseHead {
        ControlResponseHead(status: status, reason: "OK", fields: fields.map { (name: $0.0, value: $0.1) })
    }

    private static func answer(_ body: String, _ writer: any ControlResponseWriting) async throws {
        try await writer.head(Self.head(200, [("content-length", String(body.utf8.count))]))
        try await writer.body(ByteBuffer(string: body))
    }

    private static func answer(pieces: [String], _ writer: any ControlResponseWriting) async throws {
        try await writer.head(Self.head(200, [("content-type", "text/plain")]))
        for piece in pieces { try await writer.body(ByteBuffer(string: piece)) }
    }

    private func answerLarge(_ writer: any ControlResponseWriting) async throws {
        let length = Self.largePieces * Self.largePiece.readableBytes
        try await writer.head(Self.head(200, [("content-length", String(length))]))
        for _ in 0..<Self.largePieces {
            try await writer.body(Self.largePiece)
            self.watched.update { $0.largeBytesWritten += Self.largePiece.readableBytes }
        }
    }

    private func hold() async throws {
        await withTaskCancellationHandler {
            _ = await self.watched.until { $0.isReleased || $0.cancelled > 0 }
        } onCancel: {
            self.watched.update { $0.cancelled += 1 }
        }
        try Task.checkCancellation()
    }
}
