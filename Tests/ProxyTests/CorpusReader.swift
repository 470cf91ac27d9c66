import NIOCore
import NIOHTTP1

@testable import Proxy

/// What a reader makes of the bytes of a connection.
struct ReadMessages: Equatable, Sendable {
    enum End: Equatable, Sendable {
        /// The bytes ended between two messages.
        case clean
        /// A message is not complete.
        case incomplete(Part)
        case rejected
        /// The last message said that nothing follows, so nothing behind it is read.
        case closed
    }

    enum Part: Equatable, Sendable { case head, body }

    struct Message: Equatable, Sendable {
        var method = ""
        var target = ""
        var status = 0
        var body: [UInt8] = []
        /// The bytes of the connection that were read when it was complete.
        var end = 0
    }

    var messages: [Message] = []
    var end: End = .clean
}

/// Our own reader: the parsers of `Proxy/Wire`, put together as the connections do it.
enum StrictReader {
    /// - Parameter cuts: where the bytes are cut into reads, in order.
    static func requests(_ bytes: [UInt8], cuts: [Int] = []) -> ReadMessages {
        var reader = RequestReader()
        for piece in self.pieces(bytes, cuts) { reader.feed(piece) }
        return reader.finish()
    }

    /// - Parameter methods: of the requests that were sent; behind the last one all were GET.
    static func responses(_ bytes: [UInt8], cuts: [Int] = [], methods: [RequestHead.Method] = [])
        -> ReadMessages
    {
        var reader = ResponseReader(methods: methods)
        for piece in self.pieces(bytes, cuts) { reader.feed(piece) }
        return reader.finish()
    }

    static func pieces(_ bytes: [UInt8], _ cuts: [Int]) -> [ArraySlice<UInt8>] {
        var pieces: [ArraySlice<UInt8>] = []
        var start = 0
        for cut in cuts where cut > start && cut < bytes.count {
            pieces.append(bytes[start..<cut])
            start = cut
        }
        pieces.append(bytes[start...])
        return pieces
    }

    private struct RequestReader {
        private var inbox = ByteBuffer()
        private var search = RequestHeadSearch()
        private var pending: PendingRequest?
        private var fed = 0
        private var result = ReadMessages()

        mutating func feed(_ piece: ArraySlice<UInt8>) {
            self.inbox.writeBytes(piece)
            self.fed += piece.count
            while self.result.end == .clean, self.inbox.readableBytes > 0, self.step() {}
        }

        private mutating func step() -> Bool {
            if let pending = self.pending { return self.body(pending) }
            switch self.inbox.withUnsafeReadableBytes({ self.search.parse($0) }) {
            case .incomplete:
                return false
            case .invalid:
                self.result.end = .rejected
                return false
            case .complete(let head):
                self.search = RequestHeadSearch()
                let plane = self.inbox.withUnsafeReadableBytes {
                    Plane.classify(target: UnsafeRawBufferPointer(rebasing: $0[head.targetRange]))
                }
                guard plane != .invalid, let bytes = self.inbox.readSlice(length: head.byteCount) else {
                    self.result.end = .rejected
                    return false
                }
                let request = PendingRequest(
                    head: head, headBytes: bytes, plane: plane, bodyBytesMax: 1 << 20)
                if request.exceedsLimit {
                    self.result.end = .rejected
                    return false
                }
                if request.isComplete { self.complete(request) } else { self.pending = request }
                return true
            }
        }

        private mutating func body(_ request: PendingRequest) -> Bool {
            switch request.take(from: &self.inbox) {
            case .needMore: return false
            case .complete:
                self.complete(request)
                return true
            case .tooLarge, .invalid:
                self.result.end = .rejected
                return false
            }
        }

        private mutating func complete(_ request: PendingRequest) {
            self.pending = nil
            self.result.messages.append(
                .init(
                    method: request.text(request.head.methodRange) ?? "",
                    target: request.text(request.head.targetRange) ?? "", body: Array(buffer: request.body),
                    end: self.fed - self.inbox.readableBytes))
            if !request.head.keepAlive { self.result.end = .closed }
        }

        func finish() -> ReadMessages {
            var result = self.result
            guard result.end == .clean else { return result }
            if self.pending != nil {
                result.end = .incomplete(.body)
            } else if self.inbox.readableBytes > 0 {
                result.end = .incomplete(.head)
            }
            return result
        }
    }

    private struct ResponseReader {
        private var inbox = ByteBuffer()
        private var search = ResponseHeadSearch()
        private var methods: [RequestHead.Method]
        private var framing: BodyFraming?
        private var decoder = ChunkedDecoder()
        private var message = ReadMessages.Message()
        private var keepsAlive = true
        /// After an interim head the message is still to come.
        private var isAwaited = false
        private var fed = 0
        private var result = ReadMessages()

        init(methods: [RequestHead.Method]) { self.methods = methods }

        mutating func feed(_ piece: ArraySlice<UInt8>) {
            self.inbox.writeBytes(piece)
            self.fed += piece.count
            while self.result.end == .clean, self.inbox.readableBytes > 0, self.step() {}
        }

        private mutating func step() -> Bool {
            switch self.framing {
            case nil: return self.head()
            case .some(.none): return false
            case .length(let left):
                let bytes = self.inbox.readBytes(length: min(left, self.inbox.readableBytes)) ?? []
                self.message.body += bytes
                self.framing = .length(left - bytes.count)
                if left == bytes.count { self.complete() }
                return true
            case .chunked: return self.chunk()
            case .untilClose:
                self.message.body += self.inbox.readBytes(length: self.inbox.readableBytes) ?? []
                return false
            }
        }

        private mutating func head() -> Bool {
            switch self.inbox.withUnsafeReadableBytes({ self.search.parse($0) }) {
            case .incomplete:
                return false
            case .invalid:
                self.result.end = .rejected
                return false
            case .complete(let head):
                self.search = ResponseHeadSearch()
                self.inbox.moveReaderIndex(forwardBy: head.byteCount)
                self.isAwaited = head.isInterim
                if head.isInterim {
                    if head.status == 101 { self.result.end = .rejected }
                    return head.status != 101
                }
                let method = self.methods.isEmpty ? .get : self.methods.removeFirst()
                self.message.status = head.status
                self.keepsAlive = head.keepAlive
                self.framing = head.framing(forHead: method == .head)
                self.decoder = ChunkedDecoder()
                if self.framing == BodyFraming.none { self.complete() }
                return true
            }
        }

        private mutating func chunk() -> Bool {
            let step = self.inbox.withUnsafeReadableBytes { self.decoder.next(in: $0, from: 0) }
            switch step {
            case .payload(let range, let consumed):
                self.message.body +=
                    self.inbox.getBytes(at: self.inbox.readerIndex + range.lowerBound, length: range.count)
                    ?? []
                self.inbox.moveReaderIndex(forwardBy: consumed)
            case .needMore(let consumed): self.inbox.moveReaderIndex(forwardBy: consumed)
            case .end(let consumed):
                self.inbox.moveReaderIndex(forwardBy: consumed)
                self.complete()
            case .invalid: self.result.end = .rejected
            }
            return true
        }

        private mutating func complete() {
            self.message.end = self.fed - self.inbox.readableBytes
            self.result.messages.append(self.message)
            self.message = .init()
            self.framing = nil
            if !self.keepsAlive { self.result.end = .closed }
        }

        mutating func finish() -> ReadMessages {
            if case .some(.untilClose) = self.framing, self.result.end == .clean {
                self.keepsAlive = false
                self.complete()
            }
            guard self.result.end == .clean else { return self.result }
            if self.framing != nil {
                self.result.end = .incomplete(.body)
            } else if self.inbox.readableBytes > 0 || self.isAwaited {
                self.result.end = .incomplete(.head)
            }
            return self.result
        }
    }
}
