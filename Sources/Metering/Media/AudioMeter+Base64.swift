extension AudioMeter {
    /// Measures a file that came as base64 (RFC 4648 §4) in one piece; nil: it is none, or one that is not measured.
    ///
    /// Only the plain alphabet with its padding is read: what some decoders pass over, and others stop at, would be two
    /// files.
    static func milliseconds(base64 text: UnsafeRawBufferPointer) -> Int64? {
        guard text.count % 4 == 0 else { return nil }
        var meter = AudioMeter()
        var piece: [UInt8] = []
        piece.reserveCapacity(Self.pieceBytes + 3)
        var at = 0
        while at < text.count {
            let isLast = at + 4 == text.count
            guard let group = self.group(text, at, mayPad: isLast) else { return nil }
            piece.append(UInt8(truncatingIfNeeded: group.bits >> 16))
            if group.bytes > 1 { piece.append(UInt8(truncatingIfNeeded: group.bits >> 8)) }
            if group.bytes > 2 { piece.append(UInt8(truncatingIfNeeded: group.bits)) }
            at += 4
            guard piece.count >= Self.pieceBytes || isLast else { continue }
            piece.withUnsafeBytes { meter.feed($0) }
            piece.removeAll(keepingCapacity: true)
        }
        return try? meter.finish().get()
    }

    private static let pieceBytes = 16_384

    /// Four characters: 24 bits, of which so many bytes are meant.
    private static func group(
        _ text: UnsafeRawBufferPointer, _ at: Int, mayPad: Bool
    ) -> (bits: UInt32, bytes: Int)? {
        let padding =
            !mayPad || text[at + 3] != UInt8(ascii: "=") ? 0 : text[at + 2] == UInt8(ascii: "=") ? 2 : 1
        var bits: UInt32 = 0
        for index in 0..<4 - padding {
            guard let value = self.value(text[at + index]) else { return nil }
            bits |= UInt32(value) << UInt32(18 - 6 * index)
        }
        return (bits, 3 - padding)
    }

    private static func value(_ character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): character - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
