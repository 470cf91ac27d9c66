import CHiredis
import MoneyPath

/// One reply, parsed by hiredis; freed with this value.
struct RedisReply: ~Copyable {
    private let pointer: UnsafeMutablePointer<redisReply>

    enum Kind { case text, status, integer, array, null, error }

    fileprivate init(_ pointer: UnsafeMutablePointer<redisReply>) { self.pointer = pointer }

    deinit { freeReplyObject(self.pointer) }

    var kind: Kind { Self.kind(of: self.pointer) }

    /// Number of elements of an array, 0 for anything else.
    var count: Int { self.kind == .array ? self.pointer.pointee.elements : 0 }

    /// The integer that this reply is; nil for anything else.
    var integer: Int64? { self.kind == .integer ? self.pointer.pointee.integer : nil }

    /// The integer at `index` of an array; nil when there is none.
    func integer(at index: Int) -> Int64? {
        guard let element = self.element(index), Self.kind(of: element) == .integer else { return nil }
        return element.pointee.integer
    }

    /// The text that this reply is; nil for anything else, and for text that is not UTF-8.
    var text: String? { Self.text(of: self.pointer) }

    /// The text at `index` of an array; nil when there is none.
    func text(at index: Int) -> String? { self.element(index).flatMap(Self.text(of:)) }

    /// The array at `index` of an array as texts; nil when it is none, or holds anything else.
    func texts(at index: Int) -> [String]? {
        guard let element = self.element(index), Self.kind(of: element) == .array else { return nil }
        var texts: [String] = []
        for at in 0..<element.pointee.elements {
            guard let inner = element.pointee.element[at], let text = Self.text(of: inner) else { return nil }
            texts.append(text)
        }
        return texts
    }

    /// What an error reply means; nil when this is no error.
    var refusal: StoreRefusal? {
        guard self.kind == .error, let bytes = self.pointer.pointee.str else { return nil }
        let message = UnsafeRawBufferPointer(start: bytes, count: self.pointer.pointee.len)
        return StoreRefusal(errorMessage: message)
    }

    private func element(_ index: Int) -> UnsafeMutablePointer<redisReply>? {
        guard index >= 0, index < self.count else { return nil }
        return self.pointer.pointee.element[index]
    }

    private static func kind(of reply: UnsafeMutablePointer<redisReply>) -> Kind {
        switch reply.pointee.type {
        case REDIS_REPLY_STRING: .text
        case REDIS_REPLY_STATUS: .status
        case REDIS_REPLY_INTEGER: .integer
        case REDIS_REPLY_ARRAY: .array
        case REDIS_REPLY_ERROR: .error
        default: .null
        }
    }

    private static func text(of reply: UnsafeMutablePointer<redisReply>) -> String? {
        let kind = Self.kind(of: reply)
        guard kind == .text || kind == .status, let bytes = reply.pointee.str else { return nil }
        return String(
            validating: UnsafeRawBufferPointer(start: bytes, count: reply.pointee.len), as: UTF8.self)
    }
}

/// hiredis' incremental parser: bytes in, whole replies out. Owned by one connection, used on its loop only.
final class RedisReplyReader {
    private let reader: UnsafeMutablePointer<redisReader>

    init() {
        guard let reader = redisReaderCreate() else {
            preconditionFailure("redisReaderCreate: out of memory")
        }
        self.reader = reader
    }

    deinit { redisReaderFree(self.reader) }

    struct ProtocolBroken: Error {}

    func feed(_ bytes: UnsafeRawBufferPointer) throws(ProtocolBroken) {
        guard let start = bytes.baseAddress else { return }
        let result = redisReaderFeed(self.reader, start.assumingMemoryBound(to: CChar.self), bytes.count)
        guard result == REDIS_OK else { throw ProtocolBroken() }
    }

    /// The next whole reply; nil when more bytes are needed.
    func next() throws(ProtocolBroken) -> RedisReply? {
        var raw: UnsafeMutableRawPointer?
        guard redisReaderGetReply(self.reader, &raw) == REDIS_OK else { throw ProtocolBroken() }
        guard let raw else { return nil }
        return RedisReply(raw.assumingMemoryBound(to: redisReply.self))
    }
}
