import NIOCore

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// One HTTP/1.x request, its fields slices of the connection's input.
struct MockRequest {
    enum Method { case get, post, other }

    var method = Method.other
    /// Path without query.
    var path = ByteBuffer()
    var query = ByteBuffer()
    var keepAlive = true
    /// The token after `Bearer `, not empty.
    var bearer: ByteBuffer?
    var clientRequestID: ByteBuffer?
    var directives: ByteBuffer?
    var expectsContinue = false
    var body = ByteBuffer()

    fileprivate var contentLength: Int?
    fileprivate var isChunked = false
}

/// Splits a connection's input into requests, whatever TCP does to it. Knows content-length and chunked
/// bodies.
struct RequestDecoder {
    enum Step {
        case needMore
        /// The head is complete and the peer waits for `100 Continue`. Reported once per request.
        case sendContinue
        case request(MockRequest)
        /// Not HTTP that the mock understands. The connection is of no further use.
        case refuse(status: Int)
    }

    static let headBytesMax = 65_536
    let bodyBytesMax: Int

    private enum State {
        case head
        case body(MockRequest, length: Int)
        case chunkSize(MockRequest)
        case chunkData(MockRequest, left: Int)
        case trailers(MockRequest)
        case dead
    }

    private var state = State.head

    init(bodyBytesMax: Int) { self.bodyBytesMax = bodyBytesMax }

    /// The request whose body is still incomplete.
    var pending: MockRequest? {
        switch state {
        case .body(let request, _), .chunkSize(let request), .chunkData(let request, _),
            .trailers(let request):
            request
        case .head, .dead: nil
        }
    }

    mutating func next(_ input: inout ByteBuffer) -> Step {
        while true {
            switch state {
            case .head:
                guard let step = takeHead(&input) else { continue }
                return step
            case .body(var request, let length):
                guard let body = input.readSlice(length: length) else { return .needMore }
                request.body = body
                state = .head
                return .request(request)
            case .chunkSize(let request):
                guard let line = takeLine(&input) else {
                    return input.readableBytes > 1_024 ? refuse(400) : .needMore
                }
                guard let size = Self.hexadecimal(line) else { return refuse(400) }
                guard size + request.body.readableBytes <= bodyBytesMax else { return refuse(413) }
                state = size == 0 ? .trailers(request) : .chunkData(request, left: size)
            case .chunkData(var request, let left):
                // Gives up the only other reference to the body, so that appending does not copy.
                state = .dead
                guard input.readableBytes >= left + 2 else {
                    if let some = input.readSlice(length: min(left, input.readableBytes)) {
                        request.body.writeImmutableBuffer(some)
                        state = .chunkData(request, left: left - some.readableBytes)
                    }
                    return .needMore
                }
                if let data = input.readSlice(length: left) { request.body.writeImmutableBuffer(data) }
                guard input.readInteger(as: UInt16.self) == 0x0D0A else { return refuse(400) }
                state = .chunkSize(request)
            case .trailers(let request):
                guard let line = takeLine(&input) else {
                    return input.readableBytes > 8_192 ? refuse(400) : .needMore
                }
                guard line.readableBytes == 0 else { continue }
                state = .head
                return .request(request)
            case .dead: return .needMore
            }
        }
    }

    private mutating func refuse(_ status: Int) -> Step {
        state = .dead
        return .refuse(status: status)
    }

    private mutating func takeLine(_ input: inout ByteBuffer) -> ByteBuffer? {
        guard let end = input.readableBytesView.firstIndex(of: 0x0A) else { return nil }
        var line = input.readSlice(length: end - input.readerIndex)
        input.moveReaderIndex(forwardBy: 1)
        if let last = line?.readableBytesView.last, last == 0x0D {
            line = line?.getSlice(at: line?.readerIndex ?? 0, length: (line?.readableBytes ?? 1) - 1)
        }
        return line
    }

    private static func hexadecimal(_ line: ByteBuffer) -> Int? {
        let digits = line.readableBytesView.prefix { $0 != UInt8(ascii: ";") && $0 != 0x20 }
        guard !digits.isEmpty, digits.count <= 12 else { return nil }
        return Int(String(decoding: digits, as: UTF8.self), radix: 16).flatMap { $0 >= 0 ? $0 : nil }
    }

    /// Reads a head if it is all there. Nil: a new state was entered without anything to report.
    private mutating func takeHead(_ input: inout ByteBuffer) -> Step? {
        while input.readableBytes > 0, let byte = input.readableBytesView.first, byte == 0x0D || byte == 0x0A
        {
            // RFC 9112 2.2: empty lines before a request line are skipped.
            input.moveReaderIndex(forwardBy: 1)
        }
        guard input.readableBytes > 0 else { return .needMore }
        let head = input
        let parsed = head.withUnsafeReadableBytes { Self.parse($0, base: head) }
        switch parsed {
        case .incomplete: return input.readableBytes > Self.headBytesMax ? refuse(431) : .needMore
        case .bad: return refuse(400)
        case .complete(let request, let length):
            input.moveReaderIndex(forwardBy: length)
            return enter(request, &input)
        }
    }

    private mutating func enter(_ head: consuming MockRequest, _ input: inout ByteBuffer) -> Step? {
        var request = head
        if request.isChunked {
            state = .chunkSize(request)
        } else if let length = request.contentLength, length > 0 {
            guard length <= bodyBytesMax else { return refuse(413) }
            // Most requests arrive whole: no detour through the state.
            if let body = input.readSlice(length: length) {
                request.body = body
                return .request(request)
            }
            state = .body(request, length: length)
        } else {
            state = .head
            return .request(request)
        }
        return request.expectsContinue ? .sendContinue : nil
    }

    private enum Parsed {
        case incomplete, bad
        case complete(MockRequest, length: Int)
    }

    private static func parse(_ bytes: UnsafeRawBufferPointer, base: ByteBuffer) -> Parsed {
        guard let start = bytes.baseAddress else { return .incomplete }
        var request = MockRequest()
        var at = 0
        var first = true
        while true {
            guard let found = memchr(start + at, 0x0A, bytes.count - at) else { return .incomplete }
            let next = start.distance(to: UnsafeRawPointer(found)) + 1
            var end = next - 1
            if end > at, bytes[end - 1] == 0x0D { end -= 1 }
            if first {
                guard requestLine(bytes, at..<end, base, &request) else { return .bad }
                first = false
            } else if end == at {
                return request.isChunked && request.contentLength != nil
                    ? .bad : .complete(request, length: next)
            } else if !header(bytes, at..<end, base, &request) {
                return .bad
            }
            at = next
            if at == bytes.count { return .incomplete }
        }
    }

    private static func requestLine(
        _ bytes: UnsafeRawBufferPointer, _ line: Range<Int>, _ base: ByteBuffer, _ request: inout MockRequest
    ) -> Bool {
        guard let space = bytes[line].firstIndex(of: 0x20),
            let second = bytes[(space + 1)..<line.upperBound].firstIndex(of: 0x20),
            ReplySeed.find(bytes, second..<line.upperBound, " HTTP/1.") == second,
            line.upperBound == second + 9
        else { return false }
        request.keepAlive = bytes[line.upperBound - 1] != UInt8(ascii: "0")
        let method = bytes[line.lowerBound..<space]
        if method.elementsEqual("POST".utf8) { request.method = .post }
        if method.elementsEqual("GET".utf8) { request.method = .get }
        let mark = bytes[(space + 1)..<second].firstIndex(of: UInt8(ascii: "?"))
        request.path = slice(base, (space + 1)..<(mark ?? second))
        if let mark { request.query = slice(base, (mark + 1)..<second) }
        return true
    }

    private static func slice(_ base: ByteBuffer, _ range: Range<Int>) -> ByteBuffer {
        base.getSlice(at: base.readerIndex + range.lowerBound, length: range.count) ?? ByteBuffer()
    }

    /// Picks the few headers that matter; false when one of them makes no sense.
    private static func header(
        _ bytes: UnsafeRawBufferPointer, _ line: Range<Int>, _ base: ByteBuffer, _ request: inout MockRequest
    ) -> Bool {
        guard let colon = bytes[line].firstIndex(of: UInt8(ascii: ":")), colon > line.lowerBound else {
            return false
        }
        let name = line.lowerBound..<colon
        var from = colon + 1
        var to = line.upperBound
        while from < to, bytes[from] == 0x20 || bytes[from] == 0x09 { from += 1 }
        while to > from, bytes[to - 1] == 0x20 || bytes[to - 1] == 0x09 { to -= 1 }
        let value = from..<to
        switch name.count {
        case 6 where same(bytes, name, "expect"):
            request.expectsContinue = same(bytes, value, "100-continue")
        case 6 where same(bytes, name, "x-mock"): request.directives = slice(base, value)
        case 10 where same(bytes, name, "connection"):
            if same(bytes, value, "close") { request.keepAlive = false }
            if same(bytes, value, "keep-alive") { request.keepAlive = true }
        case 13 where same(bytes, name, "authorization"):
            let scheme = from..<min(from + 7, to)
            if same(bytes, scheme, "bearer "), value.count > 7 {
                request.bearer = slice(base, (from + 7)..<to)
            }
        case 14 where same(bytes, name, "content-length"):
            guard !value.isEmpty, value.count <= 12, bytes[value].allSatisfy({ (0x30...0x39).contains($0) })
            else { return false }
            let length = bytes[value].reduce(0) { $0 * 10 + Int($1 - 0x30) }
            guard request.contentLength == nil || request.contentLength == length else { return false }
            request.contentLength = length
        case 17 where same(bytes, name, "transfer-encoding"):
            guard same(bytes, value, "chunked") else { return false }
            request.isChunked = true
        case 19 where same(bytes, name, "x-client-request-id"),
            21 where same(bytes, name, "x-tollgate-request-id"):
            request.clientRequestID = slice(base, value)
        default: break
        }
        return true
    }

    /// Equality without regard to ASCII case; `word` is in lower case.
    private static func same(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ word: StaticString)
        -> Bool
    {
        guard range.count == word.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count {
            var byte = bytes[range.lowerBound + offset]
            if (0x41...0x5A).contains(byte) { byte |= 0x20 }
            if byte != word.utf8Start[offset] { return false }
        }
        return true
    }
}
