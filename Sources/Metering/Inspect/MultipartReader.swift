/// What makes a form unreadable, or readable in more than one way.
enum MultipartFault: Error, Sendable, Hashable {
    /// Bytes in front of the first part, or behind the last.
    case strayBytes
    /// A boundary that is followed by something else than a line's end.
    case uncleanBoundary
    /// The header of a part is not one, is too long, or does not name the part clearly.
    case badPartHeader
    /// The content of a part is encoded.
    case encodedPart
    /// The body ends before the form does.
    case truncated
    /// More parts than any form has.
    case tooManyParts

    var explanation: String {
        switch self {
        case .strayBytes: "bytes stand outside of its parts"
        case .uncleanBoundary: "a boundary does not end its line"
        case .badPartHeader: "the header of a part cannot be read in one way only"
        case .encodedPart: "a part has a content-transfer-encoding"
        case .truncated: "it ends before its last boundary"
        case .tooManyParts: "it has too many parts"
        }
    }
}

/// Told of the parts of a form, in their order.
protocol MultipartVisitor {
    associatedtype Rejection: Error
    mutating func begin(_ part: MultipartPart) throws(Rejection)
    /// Content of the part; any number of pieces.
    mutating func take(_ bytes: UnsafeRawBufferPointer) throws(Rejection)
    mutating func endPart() throws(Rejection)
}

/// Reads a multipart form that comes in pieces. Only part headers are kept, of at most `headerMax` bytes.
///
/// Stricter than RFC 2046: no preamble, no epilogue, no blanks behind a boundary, no folded lines. Programs write none of
/// them, and where two programs differ in reading them, one of them would meter another form than the other serves.
struct MultipartReader: Sendable {
    static let headerMax = 8192
    static let partsMax = 128

    enum Ending<Rejection: Error>: Error {
        case fault(MultipartFault)
        case rejected(Rejection)
    }

    private enum State: Sendable {
        /// Of a delimiter, so many bytes were seen; the first one of the form may lack its line break.
        case first(matched: Int)
        /// Behind a boundary: a line's end, or the dashes that end the form.
        case boundaryEnd, lineFeed, lastDash
        case header
        case content(matched: Int)
        /// Behind the form: nothing, or one line's end.
        case over(matched: Int)
    }

    /// CR LF, two dashes and the boundary: only its first byte is a CR.
    private let delimiter: [UInt8]
    private var state: State = .first(matched: 2)
    private var header: [UInt8] = []
    private var parts = 0

    init(_ boundary: MultipartBoundary) {
        self.delimiter = [0x0d, 0x0a, 0x2d, 0x2d] + boundary.bytes
    }

    mutating func feed<Visitor: MultipartVisitor>(
        _ bytes: UnsafeRawBufferPointer, _ visitor: inout Visitor
    ) throws(Ending<Visitor.Rejection>) {
        var at = 0
        while at < bytes.count {
            if case .content(let matched) = self.state {
                at = try self.content(bytes, at, matched, &visitor)
            } else {
                try self.take(bytes[at], &visitor)
                at += 1
            }
        }
    }

    /// No more bytes come.
    func finish() throws(MultipartFault) {
        switch self.state {
        case .over(matched: 0), .over(matched: 2): return
        case .over: throw .strayBytes
        default: throw .truncated
        }
    }

    // MARK: Between parts

    private mutating func take<Visitor: MultipartVisitor>(
        _ byte: UInt8, _ visitor: inout Visitor
    ) throws(Ending<Visitor.Rejection>) {
        switch self.state {
        case .first(let matched):
            // A line break in front of the form is part of its first delimiter.
            let expected = matched == 2 && byte == 0x0d ? 0 : matched
            guard byte == self.delimiter[expected] else { throw .fault(.strayBytes) }
            self.state = expected + 1 == self.delimiter.count ? .boundaryEnd : .first(matched: expected + 1)
        case .boundaryEnd:
            guard byte == 0x0d || byte == 0x2d else { throw .fault(.uncleanBoundary) }
            self.state = byte == 0x0d ? .lineFeed : .lastDash
        case .lineFeed:
            guard byte == 0x0a else { throw .fault(.uncleanBoundary) }
            self.parts += 1
            guard self.parts <= Self.partsMax else { throw .fault(.tooManyParts) }
            self.header = []
            self.state = .header
        case .lastDash:
            guard byte == 0x2d else { throw .fault(.uncleanBoundary) }
            self.state = .over(matched: 0)
        case .header:
            try self.takeHeader(byte, &visitor)
        case .over(let matched):
            guard matched < 2, byte == self.delimiter[matched] else { throw .fault(.strayBytes) }
            self.state = .over(matched: matched + 1)
        case .content:
            preconditionFailure("feed() reads content itself")
        }
    }

    private mutating func takeHeader<Visitor: MultipartVisitor>(
        _ byte: UInt8, _ visitor: inout Visitor
    ) throws(Ending<Visitor.Rejection>) {
        self.header.append(byte)
        guard self.header.count <= Self.headerMax else { throw .fault(.badPartHeader) }
        guard byte == 0x0a, self.header.suffix(4).elementsEqual([0x0d, 0x0a, 0x0d, 0x0a]) else { return }
        let part: MultipartPart
        do throws(MultipartFault) {
            part = try MultipartPart.read(self.header.dropLast(2))
        } catch {
            throw .fault(error)
        }
        self.header = []
        do throws(Visitor.Rejection) { try visitor.begin(part) } catch { throw .rejected(error) }
        self.state = .content(matched: 0)
    }

    // MARK: Content

    /// Hands on content up to the next delimiter. Returns where to go on.
    ///
    /// - Parameter matched: bytes of a delimiter that ended the piece before and were not handed on.
    private mutating func content<Visitor: MultipartVisitor>(
        _ bytes: UnsafeRawBufferPointer, _ start: Int, _ matched: Int, _ visitor: inout Visitor
    ) throws(Ending<Visitor.Rejection>) -> Int {
        var matched = matched
        var at = start
        // Where content begins that was not handed on; what was matched in the piece before is not in this one.
        let from = start
        while at < bytes.count {
            if bytes[at] == self.delimiter[matched] {
                matched += 1
                at += 1
                guard matched == self.delimiter.count else { continue }
                try Self.tell(&visitor, bytes, from..<max(from, at - matched))
                do throws(Visitor.Rejection) { try visitor.endPart() } catch { throw .rejected(error) }
                self.state = .boundaryEnd
                return at
            }
            if matched > at - from {
                // It was content after all, and stood in an earlier piece.
                try self.tell(&visitor, matched: matched - (at - from))
            }
            at = ByteSearch.carriageReturn(bytes, matched == 0 ? at + 1 : at)
            matched = 0
        }
        try Self.tell(&visitor, bytes, from..<max(from, bytes.count - matched))
        self.state = .content(matched: matched)
        return bytes.count
    }

    private static func tell<Visitor: MultipartVisitor>(
        _ visitor: inout Visitor, _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>
    ) throws(Ending<Visitor.Rejection>) {
        guard !range.isEmpty else { return }
        do throws(Visitor.Rejection) {
            try visitor.take(UnsafeRawBufferPointer(rebasing: bytes[range]))
        } catch {
            throw .rejected(error)
        }
    }

    /// The first bytes of a delimiter, which are always the same.
    private func tell<Visitor: MultipartVisitor>(
        _ visitor: inout Visitor, matched count: Int
    ) throws(Ending<Visitor.Rejection>) {
        let result: Result<Void, Visitor.Rejection> = self.delimiter.withUnsafeBytes { bytes in
            do throws(Visitor.Rejection) {
                return .success(try visitor.take(UnsafeRawBufferPointer(rebasing: bytes[..<count])))
            } catch {
                return .failure(error)
            }
        }
        if case .failure(let rejection) = result { throw .rejected(rejection) }
    }
}
