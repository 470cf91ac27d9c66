/// Keys and texts, as far as anything is kept or counted of them.
extension ReplyScanner {
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
        if !self.textIsWhole {
            self.takeText(piece)
            self.endString(nil)
        } else {
            self.endString(piece)
        }
        return stop &+ 1
    }

    /// Part of a string; more follows.
    mutating func takeText(_ piece: UnsafeRawBufferPointer) {
        if self.highSurrogate != 0, !piece.isEmpty { self.takeReplacement() }
        if self.textIsWhole { self.text.clear() }
        self.textIsWhole = false
        guard !piece.isEmpty else { return }
        if self.stringIsKey || self.slot.keepsText {
            self.text.append(piece)
        } else if self.slot == .visibleText {
            self.see(piece)
        }
    }

    /// The end of a string; `whole` when it came in one piece, otherwise it was taken already.
    mutating func endString(_ whole: UnsafeRawBufferPointer?) {
        if self.stringIsKey {
            if let whole {
                self.slot = ReplySlot(key: whole, in: self.node, shape: self.shape)
            } else {
                let (node, shape) = (self.node, self.shape)
                self.slot = self.text.withBytes {
                    $0.map { ReplySlot(key: $0, in: node, shape: shape) } ?? .none
                }
            }
            self.state = .colon
            return
        }
        if self.slot == .visibleText {
            if let whole, !whole.isEmpty { self.see(whole) }
        } else if self.slot.keepsText {
            if let whole { self.text.set(whole) }
            self.keepText()
        }
        self.endScalar()
    }

    mutating func keepText() {
        switch self.slot {
        case .model: self.model = self.text
        case .tier: self.serviceTier = self.text
        case .identifier: self.identifier = self.text
        case .type: self.type = self.text
        case .status: self.status = self.text
        case .itemType: self.toolCalls.itemIs(self.text)
        case .actionType: self.toolCalls.actionIs(self.text)
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
