/// Why a text is no vocabulary. Lines count from 1.
public enum TokenVocabularyFault: Error, Sendable, Hashable {
    case empty
    /// Not `base64, space, rank`.
    case line(Int)
    case base64(line: Int)
    /// Ranks are 0, 1, 2, … in this order.
    case rank(line: Int)
    case tokenTooLong(line: Int)
    case duplicate(line: Int)
    case tooManyTokens
    /// A byte that is no token by itself: not every text could be written.
    case missingByte(UInt8)
    /// Merging pairs by rank never makes this token, so looking up whole pieces and merging would not agree.
    case unreachable(line: Int)
}

/// The tokens of an encoding by rank, which is their id. As a `.tiktoken` file has them: a line for each, the bytes in
/// base64, a space, the rank.
public struct TokenVocabulary: Sendable {
    let tokens: [[UInt8]]
    let ids: [[UInt8]: UInt32]

    public init(tiktoken text: [UInt8]) throws(TokenVocabularyFault) {
        var tokens: [[UInt8]] = []
        var ids: [[UInt8]: UInt32] = [:]
        ids.reserveCapacity(text.count / 16)
        var rest = text[...]
        while !rest.isEmpty {
            let number = tokens.count + 1
            guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { throw .line(number) }
            let line = rest[..<end]
            rest = rest[(end + 1)...]
            guard let space = line.firstIndex(of: UInt8(ascii: " ")) else { throw .line(number) }
            guard let token = Self.decodeBase64(line[..<space]), !token.isEmpty else {
                throw .base64(line: number)
            }
            guard Self.rank(line[(space + 1)...]) == tokens.count else { throw .rank(line: number) }
            guard token.count <= TokenTableFormat.tokenBytesMax else { throw .tokenTooLong(line: number) }
            guard tokens.count < TokenTableFormat.tokensMax else { throw .tooManyTokens }
            guard ids.updateValue(UInt32(tokens.count), forKey: token) == nil else {
                throw .duplicate(line: number)
            }
            tokens.append(token)
        }
        guard !tokens.isEmpty else { throw .empty }
        for byte in UInt8.min...UInt8.max where ids[[byte]] == nil { throw .missingByte(byte) }
        self.tokens = tokens
        self.ids = ids
    }

    /// A decimal number as it is printed: no sign, no leading zero.
    private static func rank(_ digits: ArraySlice<UInt8>) -> Int? {
        guard let first = digits.first, digits.count <= 7 else { return nil }
        guard first != UInt8(ascii: "0") || digits.count == 1 else { return nil }
        var rank = 0
        for digit in digits {
            guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") else { return nil }
            rank = rank * 10 + Int(digit - UInt8(ascii: "0"))
        }
        return rank
    }

    /// Padded base64, of which each text has one form only; nil otherwise.
    static func decodeBase64(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        let padding = text.suffix(2).reversed().prefix { $0 == UInt8(ascii: "=") }.count
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        var bits: UInt32 = 0
        var bitCount: UInt32 = 0
        for character in text.dropLast(padding) {
            guard let value = self.value(character) else { return nil }
            bits = bits << 6 | value
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> bitCount))
            }
        }
        // The bits that are left over are zero.
        return bits & (1 << bitCount - 1) == 0 ? bytes : nil
    }

    private static func value(_ character: UInt8) -> UInt32? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
