/// Reads one HTTP/1.1 reply from bytes however they are cut, and keeps what a run wants to know of it. Bodies are not kept,
/// unless somebody needs the end of them.
struct ReplyReader {
    /// `nil` until the head is read.
    private(set) var status: Int?
    /// The connection takes no further request.
    private(set) var isLast = false
    /// What becomes of the exchange when its client leaves, as the proxy says it.
    private(set) var drainsOnDisconnect = false
    private(set) var bodyBytes = 0
    /// Lines that begin with `data:`.
    private(set) var events = 0
    /// FNV-1a of the body behind the transfer coding.
    private(set) var digest: UInt64 = 0xcbf2_9ce4_8422_2325
    /// The last bytes of the body, where `keepsTail`.
    private(set) var tail: [UInt8] = []

    private let keepsTail: Bool
    private var phase = Phase.head
    private var head: [UInt8] = []
    private var headLineBytes = 0
    private var line = LineStart.at(0)

    /// How much of an unfinished line matches `data:`.
    private enum LineStart { case at(Int), elsewhere }

    private enum Phase {
        case head
        case counted(left: Int)
        case chunkSize(Int, seen: Bool, extension: Bool)
        case chunkData(left: Int)
        case chunkEnd
        case trailer(lineBytes: Int)
        /// Ends with the connection.
        case open
        case done
    }

    private static let headBytesMax = 65_536
    private static let tailBytesMax = 65_536
    private static let data = Array("data:".utf8)

    init(keepsTail: Bool = false) { self.keepsTail = keepsTail }

    var isDone: Bool { if case .done = self.phase { true } else { false } }

    /// - Returns: whether the reply is complete. Bytes behind its end are a fault of the peer.
    mutating func feed(_ bytes: UnsafeRawBufferPointer) throws(ReplyFault) -> Bool {
        var at = 0
        while at < bytes.count {
            switch self.phase {
            case .head: try self.readHead(bytes, &at)
            case .counted(let left):
                let taken = self.take(bytes, &at, left)
                self.phase = taken == left ? .done : .counted(left: left - taken)
            case .chunkData(let left):
                let taken = self.take(bytes, &at, left)
                self.phase = taken == left ? .chunkEnd : .chunkData(left: left - taken)
            case .chunkSize, .chunkEnd, .trailer:
                let byte = bytes[at]
                at += 1
                try self.readFraming(byte)
            case .open: _ = self.take(bytes, &at, bytes.count - at)
            case .done: throw .behindTheEnd
            }
        }
        return self.isDone
    }

    /// The peer has closed the connection.
    ///
    /// - Returns: whether the reply is complete by that.
    mutating func close() -> Bool {
        if case .open = self.phase { self.phase = .done }
        return self.isDone
    }

    // MARK: Framing

    private mutating func readFraming(_ byte: UInt8) throws(ReplyFault) {
        switch self.phase {
        case .chunkSize(let size, let seen, let isExtension):
            switch byte {
            case 0x0a:
                guard seen else { throw .framing }
                self.phase = size == 0 ? .trailer(lineBytes: 0) : .chunkData(left: size)
            case 0x0d: break
            case _ where isExtension: break
            case 0x3b: self.phase = .chunkSize(size, seen: seen, extension: true)
            default:
                guard let digit = Self.hex(byte), size < 1 << 40 else { throw .framing }
                self.phase = .chunkSize(size * 16 + digit, seen: true, extension: false)
            }
        case .chunkEnd:
            guard byte == 0x0d || byte == 0x0a else { throw .framing }
            if byte == 0x0a { self.phase = .chunkSize(0, seen: false, extension: false) }
        case .trailer(let bytes):
            if byte == 0x0a { self.phase = bytes == 0 ? .done : .trailer(lineBytes: 0) }
            if byte != 0x0a, byte != 0x0d { self.phase = .trailer(lineBytes: bytes + 1) }
        default: throw .framing
        }
    }

    private static func hex(_ byte: UInt8) -> Int? {
        switch byte {
        case 0x30...0x39: Int(byte) - 0x30
        case 0x61...0x66: Int(byte) - 0x61 + 10
        case 0x41...0x46: Int(byte) - 0x41 + 10
        default: nil
        }
    }

    // MARK: Head

    private mutating func readHead(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) throws(ReplyFault) {
        while at < bytes.count {
            let byte = bytes[at]
            at += 1
            self.head.append(byte)
            if byte == 0x0a {
                if self.headLineBytes == 0 { return try self.parseHead() }
                self.headLineBytes = 0
            } else if byte != 0x0d {
                self.headLineBytes += 1
            }
        }
        guard self.head.count < Self.headBytesMax else { throw .head }
    }

    private mutating func parseHead() throws(ReplyFault) {
        let lines = self.head.split(separator: 0x0a).filter { $0 != [0x0d] }
        self.head.removeAll(keepingCapacity: true)
        guard let first = lines.first, first.starts(with: "HTTP/1.".utf8), first.count >= 12,
            let status = Int(String(decoding: first.dropFirst(9).prefix(3), as: UTF8.self))
        else { throw .head }
        // An interim reply; the one that counts comes behind it.
        if status < 200 { return }
        self.status = status
        self.phase = .open
        for line in lines.dropFirst() { try self.readField(line) }
        if status == 204 || status == 304 { self.phase = .done }
        if case .open = self.phase { self.isLast = true }
        if case .counted(left: 0) = self.phase { self.phase = .done }
    }

    private mutating func readField(_ line: ArraySlice<UInt8>) throws(ReplyFault) {
        guard let colon = line.firstIndex(of: 0x3a) else { throw .head }
        // Only these are worth a string.
        let name = line[..<colon]
        guard [14, 17, 10, 24].contains(name.count) else { return }
        let value = String(decoding: line[(colon + 1)...], as: UTF8.self).trimmed.lowercased()
        switch String(decoding: name, as: UTF8.self).lowercased() {
        case "content-length":
            guard let length = Int(value), length >= 0 else { throw .head }
            self.phase = .counted(left: length)
        case "transfer-encoding":
            guard value == "chunked" else { throw .head }
            self.phase = .chunkSize(0, seen: false, extension: false)
        case "connection": self.isLast = value == "close"
        case "x-tollgate-on-disconnect": self.drainsOnDisconnect = value == "drain"
        default: break
        }
    }

    // MARK: Body

    private mutating func take(_ bytes: UnsafeRawBufferPointer, _ at: inout Int, _ most: Int) -> Int {
        let count = min(most, bytes.count - at)
        let part = UnsafeRawBufferPointer(rebasing: bytes[at..<(at + count)])
        var digest = self.digest
        for byte in part { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01b3 }
        self.digest = digest
        self.countEvents(part)
        if self.keepsTail { self.keep(part) }
        self.bodyBytes += count
        at += count
        return count
    }

    private mutating func countEvents(_ part: UnsafeRawBufferPointer) {
        for byte in part {
            if byte == 0x0a {
                self.line = .at(0)
            } else if case .at(let index) = self.line {
                guard byte == Self.data[index] else {
                    self.line = .elsewhere
                    continue
                }
                if index + 1 == Self.data.count {
                    self.events += 1
                    self.line = .elsewhere
                } else {
                    self.line = .at(index + 1)
                }
            }
        }
    }

    private mutating func keep(_ part: UnsafeRawBufferPointer) {
        self.tail.append(contentsOf: part)
        if self.tail.count > 2 * Self.tailBytesMax {
            self.tail.removeFirst(self.tail.count - Self.tailBytesMax)
        }
    }
}

/// What is wrong with the bytes of a reply.
enum ReplyFault: String, Error { case head, framing, behindTheEnd = "bytes behind the end" }

extension String {
    fileprivate var trimmed: String {
        String(
            self.drop { $0 == " " || $0 == "\t" || $0 == "\r" }.reversed().drop { $0.isWhitespace }.reversed()
        )
    }
}
