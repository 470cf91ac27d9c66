import NIOCore
import Synchronization

/// Responses that were made with `store`, for `GET /v1/responses/{id}` and `previous_response_id`.
final class StoredResponses: Sendable {
    private struct Entry {
        let body: String
        let tokens: Int
    }

    private static let limit = 10_000
    private let entries = Mutex<[String: Entry]>([:])

    /// Keeps the newest of them, and forgets all when there are too many.
    func store(_ identifier: String, _ body: String, tokens: Int) {
        entries.withLock { entries in
            if entries.count >= Self.limit { entries.removeAll() }
            entries[identifier] = Entry(body: body, tokens: tokens)
        }
    }

    func body(of identifier: String) -> ByteBuffer? {
        entries.withLock { $0[identifier] }.map { ByteBuffer(string: $0.body + "\n") }
    }

    /// Tokens that a following response reads again.
    func tokens(of identifier: String) -> Int? { entries.withLock { $0[identifier]?.tokens } }
}
