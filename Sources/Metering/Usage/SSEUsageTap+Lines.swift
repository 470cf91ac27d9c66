/// What a line is: data with a document, or nothing that matters here.
extension SSEUsageTap {
    enum Line: Equatable {
        /// So many bytes of `data:` matched; a line may yet be another field.
        case field(matched: Int)
        /// Behind `data:`, before the first byte of the payload.
        case payloadStart
        case json
        /// So many bytes of `[DONE]` matched.
        case done(matched: Int)
        case comment
        /// Another field, or data that is no object.
        case other
    }

    /// Bytes of the current line, without its end.
    mutating func scan(_ bytes: UnsafeRawBufferPointer) {
        self.lineBytes += bytes.count
        var at = 0
        if self.line == .field(matched: 0), bytes.count > 6, ByteSearch.matches(bytes, 0, "data: ") {
            self.line = .payloadStart
            at = 6
        }
        while at < bytes.count {
            switch self.line {
            case .field(let matched):
                self.matchField(bytes[at], matched)
                at += 1
            case .payloadStart:
                if self.documentIsOpen {
                    self.continueDocument()
                } else if bytes[at] == 0x20 || bytes[at] == 0x09 {
                    at += 1
                } else if bytes[at] == UInt8(ascii: "{") {
                    return self.beginDocument(UnsafeRawBufferPointer(rebasing: bytes[at...]))
                } else {
                    self.line = .done(matched: 0)
                }
            case .json:
                self.document.feed(UnsafeRawBufferPointer(rebasing: bytes[at...]))
                return
            case .done(let matched):
                self.matchDone(bytes[at], matched)
                at += 1
            case .comment, .other:
                return
            }
        }
    }

    /// The beginning of a document, which is all of it most times.
    private mutating func beginDocument(_ bytes: UnsafeRawBufferPointer) {
        self.documentIsOpen = true
        self.line = .json
        guard !self.document.takeRepeated(bytes) else { return }
        self.document.begin()
        self.document.feed(bytes)
        self.document.remember(bytes)
    }

    private mutating func matchField(_ byte: UInt8, _ matched: Int) {
        let wanted: StaticString = "data:"
        let mark: StaticString = "\u{feff}"
        if self.isFirstLine, matched == 0, self.markBytes < 3, byte == mark.utf8Start[self.markBytes] {
            // A byte order mark may stand before the first line.
            self.markBytes += 1
        } else if byte == wanted.utf8Start[matched] {
            self.line = matched == 4 ? .payloadStart : .field(matched: matched + 1)
        } else {
            self.line = matched == 0 && byte == UInt8(ascii: ":") ? .comment : .other
        }
    }

    private mutating func matchDone(_ byte: UInt8, _ matched: Int) {
        let wanted: StaticString = "[DONE]"
        if matched < 6, byte == wanted.utf8Start[matched] {
            self.line = .done(matched: matched + 1)
        } else if matched < 6 || (byte != 0x20 && byte != 0x09) {
            self.line = .other
        }
    }

    /// Data of one event in several lines is one text, joined by line feeds.
    mutating func continueDocument() {
        self.documentSpansLines = true
        withUnsafeBytes(of: UInt8(0x0a)) { self.document.feed($0) }
        self.line = .json
    }
}
