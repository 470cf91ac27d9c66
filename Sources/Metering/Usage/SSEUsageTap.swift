/// Looks at a stream of server-sent events on its way to the client, reads the usage, and takes the injected usage
/// chunk out again. Everything else goes on byte by byte as it came.
///
/// Zero frame lag: every complete line is released in the call that completes it. Of an unfinished line at most
/// 16 KiB are held back, so that a stream that is cut never ends in half a frame; a longer line goes on as it comes.
public struct SSEUsageTap: Sendable {
    /// What goes to the client after a call: first `carried`, then the ranges of the bytes just fed.
    public struct Released: Sendable {
        /// Held back by an earlier call; usually empty.
        public var carried: [UInt8] = []
        private var first: Range<Int> = 0..<0
        private var more: [Range<Int>] = []

        public init() {}

        public var byteCount: Int { self.carried.count + self.first.count + self.more.reduce(0) { $0 + $1.count } }

        public func forEachFreshRange(_ body: (Range<Int>) -> Void) {
            if !self.first.isEmpty { body(self.first) }
            for range in self.more { body(range) }
        }

        mutating func append(_ range: Range<Int>) {
            guard !range.isEmpty else { return }
            if self.first.isEmpty {
                self.first = range
            } else if self.more.isEmpty, self.first.upperBound == range.lowerBound {
                self.first = self.first.lowerBound..<range.upperBound
            } else if let last = self.more.last, last.upperBound == range.lowerBound {
                self.more[self.more.count - 1] = last.lowerBound..<range.upperBound
            } else {
                self.more.append(range)
            }
        }
    }

    /// The last usage object seen; nil: absent, or null.
    public private(set) var report: ReportedUsage?
    /// The last usage object could not be read.
    public private(set) var malformedUsage = false
    /// Output deltas with visible content, over all choices.
    public private(set) var visibleDeltas = 0
    public private(set) var visibleBytes = 0
    public private(set) var sawDone = false
    public private(set) var sawErrorFrame = false
    /// As the last frame that named them.
    public private(set) var model: String?
    public private(set) var serviceTier: String?
    /// The client has seen the beginning of a line whose end it has not.
    public private(set) var isInsideReleasedLine = false

    private enum Line {
        /// So many bytes of `data:` matched; a line may yet be another field.
        case field(matched: Int)
        /// Behind `data:`, before the first byte of the payload.
        case payloadStart
        case json
        /// So many bytes of `[DONE]` matched.
        case done(matched: Int)
        /// A comment, another field, or data that is no object.
        case other
    }

    private static let heldBytesMax = 16 << 10
    private let stripUsage: Bool
    private var line: Line = .field(matched: 0)
    private var lineIsBlank = true
    private var atStreamStart = true
    private var document = UsageDocument()
    private var carry: [UInt8] = []
    private var lineWasReleased = false
    private var dropsNextBlank = false

    public init(stripUsage: Bool) { self.stripUsage = stripUsage }

    /// Looks at the next bytes of the stream.
    public mutating func feed(_ bytes: UnsafeRawBufferPointer) -> Released {
        var released = Released()
        var start = 0
        while start < bytes.count {
            let end = Self.lineEnd(bytes, start)
            self.scan(UnsafeRawBufferPointer(rebasing: bytes[start..<(end ?? bytes.count)]))
            guard let end else {
                self.keep(bytes, start, &released)
                return released
            }
            self.endLine(start..<end + 1, &released)
            start = end + 1
        }
        return released
    }

    /// The stream ended: whatever was held back goes on, since upstream meant it so.
    public mutating func finish() -> Released {
        var released = Released()
        if !self.lineIsBlank || !self.carry.isEmpty {
            let drops = self.endFrame()
            if !drops { released.carried = self.carry }
            self.carry = []
        }
        return released
    }

    private static func lineEnd(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int? {
        var at = start
        while at < bytes.count {
            if bytes[at] == 0x0a { return at }
            at += 1
        }
        return nil
    }

    // MARK: Lines

    /// Bytes of the current line, without its line feed. A carriage return is white space to everything here.
    private mutating func scan(_ bytes: UnsafeRawBufferPointer) {
        var at = 0
        while at < bytes.count {
            switch self.line {
            case .field(let matched):
                self.matchField(bytes[at], matched)
                at += 1
            case .payloadStart:
                if bytes[at] == 0x20 || bytes[at] == 0x09 || bytes[at] == 0x0d {
                    at += 1
                } else {
                    self.line = bytes[at] == UInt8(ascii: "{") ? .json : .done(matched: 0)
                    self.document = UsageDocument()
                }
            case .json:
                self.document.feed(UnsafeRawBufferPointer(rebasing: bytes[at...]))
                return
            case .done(let matched):
                self.matchDone(bytes[at], matched)
                at += 1
            case .other:
                return
            }
        }
    }

    private mutating func matchField(_ byte: UInt8, _ matched: Int) {
        let wanted: StaticString = "data:"
        if byte != 0x0d { self.lineIsBlank = false }
        // A byte order mark may stand before the first line.
        if self.atStreamStart, matched == 0, byte == 0xef || byte == 0xbb || byte == 0xbf { return }
        if byte == wanted.utf8Start[matched] {
            self.line = matched == 4 ? .payloadStart : .field(matched: matched + 1)
        } else if byte != 0x0d || matched > 0 {
            self.line = .other
        }
    }

    private mutating func matchDone(_ byte: UInt8, _ matched: Int) {
        let wanted: StaticString = "[DONE]"
        if matched < 6, byte == wanted.utf8Start[matched] {
            self.line = .done(matched: matched + 1)
        } else if !(matched == 6 && (byte == 0x0d || byte == 0x20)) {
            self.line = .other
        }
    }

    /// An unfinished line: held back, or let go when it is too long to hold.
    private mutating func keep(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ released: inout Released) {
        if self.lineWasReleased {
            released.append(start..<bytes.count)
        } else if self.carry.count + bytes.count - start > Self.heldBytesMax {
            released.carried = self.carry
            self.carry = []
            self.lineWasReleased = true
            self.isInsideReleasedLine = true
            released.append(start..<bytes.count)
        } else {
            self.carry.append(contentsOf: bytes[start...])
        }
    }

    /// A line is complete: it goes on, or it is the injected usage chunk.
    private mutating func endLine(_ range: Range<Int>, _ released: inout Released) {
        let wasBlank = self.lineIsBlank
        let isUsage = self.endFrame()
        let drops = self.stripUsage && !self.lineWasReleased && (isUsage || (wasBlank && self.dropsNextBlank))
        self.dropsNextBlank = isUsage && drops
        if !drops {
            // A carried line can only be the first of a call.
            if !self.carry.isEmpty { released.carried = self.carry }
            released.append(range)
        }
        self.carry = []
        self.lineWasReleased = false
        self.isInsideReleasedLine = false
    }

    /// Takes over what the line said; whether it was a chunk of usage and nothing else.
    private mutating func endFrame() -> Bool {
        defer {
            self.line = .field(matched: 0)
            self.lineIsBlank = true
            self.atStreamStart = false
        }
        switch self.line {
        case .done(matched: 6):
            self.sawDone = true
            return false
        case .json:
            return self.takeDocument()
        case .field, .payloadStart, .done, .other:
            return false
        }
    }

    private mutating func takeDocument() -> Bool {
        self.document.finish()
        let document = self.document
        if let model = document.model { self.model = model }
        if let tier = document.serviceTier { self.serviceTier = tier }
        self.visibleDeltas += document.visibleChoices
        self.visibleBytes += document.visibleBytes
        self.sawErrorFrame = self.sawErrorFrame || document.hasError
        if document.isUsageMalformed {
            self.malformedUsage = true
            self.report = nil
        } else if let report = document.report {
            self.malformedUsage = false
            self.report = report
        }
        return document.hasEmptyChoices && (document.report != nil || document.isUsageMalformed)
    }
}

/// Reads the usage of a whole (non-streaming) reply that comes in pieces.
public struct JSONUsageScanner: Sendable {
    private var document = UsageDocument()
    private var isFinished = false

    public init() {}

    public mutating func feed(_ bytes: UnsafeRawBufferPointer) { self.document.feed(bytes) }

    public mutating func finish() {
        self.document.finish()
        self.isFinished = true
    }

    /// nil: absent, null, or unreadable.
    public var report: ReportedUsage? { self.document.report }
    /// The usage object could not be read, or the reply is not a whole JSON document.
    public var malformedUsage: Bool {
        self.document.isUsageMalformed || (self.isFinished && !self.document.isWhole)
    }
    public var model: String? { self.document.model }
    public var serviceTier: String? { self.document.serviceTier }
    public var visibleBytes: Int { self.document.visibleBytes }
}
