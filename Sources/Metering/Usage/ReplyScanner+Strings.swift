/// Keys and texts, as far as anything is kept or counted of them.
extension ReplyScanner {
    @inline(__always)
    mutating func beginString() {
        if self.state == .key || self.state == .keyOrEnd {
            self.stringIsKey = true
        } else {
            self.stringIsKey = false
            guard self.beginValue(.string) else { return }
        }
        self.textIsWhole = true
        self.state = .string
    }

    /// Takes the string up to the next byte that is not plain text, or to the end of the piece.
    mutating func takeString(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        if self.textIsWhole { self.stringStart = start }
        let stop = ByteSearch.stringStop(bytes, start)
        let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<stop])
        guard stop < bytes.count, bytes[stop] == UInt8(ascii: "\"") else {
            self.takeText(piece)
            guard stop < bytes.count else { return stop }
            if bytes[stop] == UInt8(ascii: "\\") {
                self.state = .escape
            } else {
                self.breakOff()
            }
            return stop &+ 1
        }
        if self.highSurrogate != 0 { self.takeReplacement() }
        if !self.stringIsKey {
            self.last.note(self.slot, isDelta: self.node == .root, self.stringStart, stop)
        }
        if !self.textIsWhole { self.takeText(piece) }
        self.endString(self.textIsWhole ? piece : nil)
        return stop &+ 1
    }

    /// Part of a string; more follows.
    mutating func takeText(_ piece: UnsafeRawBufferPointer) {
        if self.highSurrogate != 0, !piece.isEmpty { self.takeReplacement() }
        if self.textIsWhole { self.text = [] }
        self.textIsWhole = false
        guard !piece.isEmpty else { return }
        if self.stringIsKey || self.slot.keepsText {
            let isRoom = (self.text?.count ?? 0) &+ piece.count <= Self.textBytesMax
            if isRoom { self.text?.append(contentsOf: piece) } else { self.text = nil }
        } else if self.slot == .visibleText {
            self.see(piece)
        }
    }

    /// The end of a string; `whole` when it came in one piece, otherwise it was taken already.
    @inline(__always)
    mutating func endString(_ whole: UnsafeRawBufferPointer?) {
        if self.stringIsKey {
            if let whole {
                self.slot = ReplySlot(key: whole, in: self.node, shape: self.shape)
            } else {
                self.endCutKey()
            }
            self.state = .colon
            return
        }
        if self.slot == .visibleText {
            if let whole, !whole.isEmpty { self.see(whole) }
        } else if self.slot.keepsText {
            if let whole { self.keep(whole) } else { self.keepCutText() }
        }
        self.endScalar()
    }

    private mutating func endCutKey() {
        let (node, shape) = (self.node, self.shape)
        self.slot = self.text?.withUnsafeBytes { ReplySlot(key: $0, in: node, shape: shape) } ?? .none
    }

    private mutating func keepCutText() {
        guard let text = self.text else { return self.keep(nil) }
        text.withUnsafeBytes { self.keep($0) }
    }

    /// - Parameter text: nil: it is too long.
    private mutating func keep(_ text: UnsafeRawBufferPointer?) {
        switch self.slot {
        case .model: self.model.set(text)
        case .tier: self.tier.set(text)
        case .identifier: self.identifier.set(text)
        case .type: self.type.set(text)
        case .status: self.status.set(text)
        case .itemType: self.toolCalls.itemIs(text)
        case .actionType: self.toolCalls.actionIs(text)
        default: break
        }
    }

    // MARK: Escapes

    mutating func takeEscape(_ byte: UInt8) {
        if self.state == .hexadecimal {
            guard let digit = Self.hexadecimal(byte) else { return self.breakOff() }
            self.escapedUnit = self.escapedUnit << 4 | digit
            self.hexDigitsLeft &-= 1
            if self.hexDigitsLeft == 0 {
                self.state = .string
                self.takeUnit(self.escapedUnit)
            }
            return
        }
        self.state = .string
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): self.takeUnit(UInt32(byte))
        case UInt8(ascii: "b"): self.takeUnit(0x08)
        case UInt8(ascii: "f"): self.takeUnit(0x0c)
        case UInt8(ascii: "n"): self.takeUnit(0x0a)
        case UInt8(ascii: "r"): self.takeUnit(0x0d)
        case UInt8(ascii: "t"): self.takeUnit(0x09)
        case UInt8(ascii: "u"):
            self.hexDigitsLeft = 4
            self.escapedUnit = 0
            self.state = .hexadecimal
        default:
            self.breakOff()
        }
    }

    /// A UTF-16 unit that an escape stood for.
    mutating func takeUnit(_ unit: UInt32) {
        if 0xdc00...0xdfff ~= unit, self.highSurrogate != 0 {
            let scalar = 0x10000 + (self.highSurrogate - 0xd800) << 10 + (unit - 0xdc00)
            self.highSurrogate = 0
            self.takeScalar(Unicode.Scalar(scalar) ?? "\u{fffd}")
            return
        }
        if self.highSurrogate != 0 { self.takeReplacement() }
        if 0xd800...0xdbff ~= unit {
            self.highSurrogate = unit
        } else {
            self.takeScalar(Unicode.Scalar(unit) ?? "\u{fffd}")
        }
    }

    /// A half of a surrogate pair stood alone.
    mutating func takeReplacement() {
        self.highSurrogate = 0
        self.takeScalar("\u{fffd}")
    }

    mutating func takeScalar(_ scalar: Unicode.Scalar) {
        var bytes: (UInt8, UInt8, UInt8, UInt8) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &bytes) { buffer in
            var count = 0
            for byte in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter {
                buffer[count] = byte
                count += 1
            }
            self.takeText(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
        }
    }

    static func hexadecimal(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 0x30...0x39: UInt32(byte - 0x30)
        case 0x61...0x66: UInt32(byte - 0x57)
        case 0x41...0x46: UInt32(byte - 0x37)
        default: nil
        }
    }
}
