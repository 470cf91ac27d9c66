/// Makes the table of an encoding from its vocabulary. The same input always gives the same bytes.
public enum TokenTableBuilder {
    public static func build(
        _ encoding: TokenEncoding, vocabulary text: [UInt8]
    ) throws(TokenVocabularyFault) -> [UInt8] {
        let vocabulary = try TokenVocabulary(tiktoken: text)
        let trie = TokenTrie(vocabulary)
        let pairs = try MergePairs(vocabulary, trie)
        var image = TokenTableImage(encoding, tokens: vocabulary.tokens.count)
        self.addWholeTokens(vocabulary, to: &image)
        self.addTrie(trie, to: &image)
        self.addPairs(pairs, to: &image)
        self.addRecords(vocabulary, trie, pairs, to: &image)
        self.addClasses(to: &image)
        image.add(.byteTokens, (UInt8.min...UInt8.max).map { vocabulary.ids[[$0]] ?? TokenTableFormat.none })
        var bytePairs = [UInt32](repeating: TokenTableFormat.none, count: 65_536)
        for (id, token) in vocabulary.tokens.enumerated() where token.count == 2 {
            bytePairs[Int(token[0]) | Int(token[1]) << 8] = UInt32(id)
        }
        image.add(.bytePairs, bytePairs)
        return image.finish()
    }

    // MARK: Whole tokens

    private static func addWholeTokens(_ vocabulary: TokenVocabulary, to image: inout TokenTableImage) {
        let short = vocabulary.tokens.count { $0.count <= 8 }
        let medium = vocabulary.tokens.count { $0.count > 8 && $0.count <= 16 }
        var shortLines = KeyLines(keyBytes: 8, keysPerLine: 5, tokens: short)
        var mediumLines = KeyLines(keyBytes: 16, keysPerLine: 3, tokens: medium)
        var long: [(id: UInt32, token: [UInt8])] = []
        for (id, token) in vocabulary.tokens.enumerated() {
            switch token.count {
            case ...8: shortLines.insert(token, UInt32(id))
            case ...16: mediumLines.insert(token, UInt32(id))
            default: long.append((UInt32(id), token))
            }
        }
        image.add(.short, shortLines.words)
        image.add(.medium, mediumLines.words)

        var slots = [UInt32](
            repeating: TokenTableFormat.none, count: self.powerOfTwo(atLeast: long.count * 3))
        var records: [UInt32] = []
        var bytes: [UInt8] = []
        for (number, (id, token)) in long.enumerated() {
            records += [id, UInt32(bytes.count) | UInt32(token.count) << 24]
            bytes += token
            let hash = token.withUnsafeBufferPointer { token in
                token.baseAddress.map { TokenTableFormat.longHash($0, token.count) } ?? 0
            }
            var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
            while slots[slot] != TokenTableFormat.none { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = UInt32(number)
        }
        image.add(.longSlots, slots)
        image.add(.longRecords, records)
        image.add(.longBytes, bytes)
    }

    private static func powerOfTwo(atLeast count: Int) -> Int {
        var size = 1
        while size < count { size *= 2 }
        return size
    }

    // MARK: Merging

    private static func addTrie(_ trie: TokenTrie, to image: inout TokenTableImage) {
        let array = DoubleArray(trie)
        var fails = [UInt32](repeating: 0, count: array.units.count)
        for (node, place) in array.places.enumerated() {
            fails[place] = UInt32(array.places[trie.fails[node]])
        }
        image.add(.trie, array.units)
        image.add(.fails, fails)
    }

    private static func addPairs(_ pairs: MergePairs, to image: inout TokenTableImage) {
        let size = self.powerOfTwo(atLeast: pairs.merged.count * 5 / 4)
        var slots = [UInt64](repeating: .max, count: size)
        var filter = [UInt64](repeating: 0, count: 1 << (TokenTableFormat.pairFilterBits - 6))
        // In the order of ids, so that the same vocabulary gives the same bytes.
        for (key, id) in pairs.merged.sorted(by: { $0.value < $1.value }) {
            let hash = TokenTableFormat.pairHash(key)
            let place = TokenTableFormat.pairFilterPlace(hash)
            filter[place.word] |= place.bits
            var slot = Int(truncatingIfNeeded: TokenTableFormat.pairSlot(hash)) & (size - 1)
            while slots[slot] != .max { slot = (slot + 1) & (size - 1) }
            slots[slot] = key << TokenTableFormat.tokenBits | UInt64(id)
        }
        image.add(.pairs, slots)
        image.add(.pairFilter, filter)
    }

    private static func addRecords(
        _ vocabulary: TokenVocabulary, _ trie: TokenTrie, _ pairs: MergePairs, to image: inout TokenTableImage
    ) {
        var records: [UInt64] = []
        var suffixes: [UInt32] = []
        for (id, token) in vocabulary.tokens.enumerated() {
            let prefixes = trie.prefixes(token).dropLast()
            let parts = pairs.parts[id]
            let beginning = prefixes.last.map { UInt64($0) + 1 } ?? 0
            records.append(
                UInt64(token.count) | UInt64(parts.left) << 8 | UInt64(parts.right) << 26 | beginning << 44)
            var node = 0
            for byte in token { node = trie.child(node, byte) ?? 0 }
            suffixes.append(trie.longestSuffixes[trie.fails[node]].map { $0 + 1 } ?? 0)
        }
        image.add(.records, records)
        image.add(.suffixes, suffixes)
    }

    private static func addClasses(to image: inout TokenTableImage) {
        let (numbers, classes) = UnicodeClasses.blocks
        image.add(.classBlocks, numbers)
        image.add(.classes, classes)
        // The first block is that of ASCII.
        image.add(.asciiClasses, classes[..<128] + repeatElement(CharacterClass.notASCII, count: 128))
    }
}

/// Cache lines of keys, their ids, and whether the search goes on in the next line.
private struct KeyLines {
    private(set) var words: [UInt32]
    private let keyWords: Int
    private let keysPerLine: Int
    private let lines: UInt64
    private static let lineWords = TokenTableFormat.lineBytes / 4

    init(keyBytes: Int, keysPerLine: Int, tokens: Int) {
        self.keyWords = keyBytes / 4
        self.keysPerLine = keysPerLine
        // Four of five keys used: few searches go on, and the table stays small.
        let lines = tokens * 5 / 4 / keysPerLine + 1
        self.lines = UInt64(lines)
        // Text is never all ones, so an unused key equals none.
        let line = [UInt32](repeating: .max, count: keyBytes / 4 * keysPerLine)
        let empty = line + [UInt32](repeating: 0, count: Self.lineWords - line.count)
        self.words = Array(repeatElement(empty, count: lines).joined())
    }

    mutating func insert(_ token: [UInt8], _ id: UInt32) {
        var key: (low: UInt64, high: UInt64) = (0, 0)
        for (index, byte) in token.enumerated() {
            if index < 8 {
                key.low |= UInt64(byte) << (8 * index)
            } else {
                key.high |= UInt64(byte) << (8 * (index - 8))
            }
        }
        let hash =
            self.keyWords == 2
            ? TokenTableFormat.shortHash(key.low, token.count)
            : TokenTableFormat.mediumHash(key.low, key.high, token.count)
        let keyWords = [key.low, key.high].flatMap { [UInt32(truncatingIfNeeded: $0), UInt32($0 >> 32)] }
        var line = Int(self.lines.multipliedFullWidth(by: hash).high)
        while true {
            let start = line * Self.lineWords
            if let slot = self.freeSlot(start, keyWords[..<self.keyWords]) {
                for word in 0..<self.keyWords {
                    self.words[start + slot * self.keyWords + word] = keyWords[word]
                }
                self.words[start + self.keyWords * self.keysPerLine + slot] = id | UInt32(token.count) << 24
                return
            }
            self.words[start + Self.lineWords - 1] = 1
            line = line + 1 == Int(self.lines) ? 0 : line + 1
        }
    }

    /// nil: the line is full, or has this key already, of a token that ends in more or fewer zero bytes.
    private func freeSlot(_ start: Int, _ key: ArraySlice<UInt32>) -> Int? {
        let entries = start + self.keyWords * self.keysPerLine
        for slot in 0..<self.keysPerLine {
            if self.words[entries + slot] == 0 { return slot }
            let at = start + slot * self.keyWords
            if self.words[at..<at + self.keyWords] == key { return nil }
        }
        return nil
    }
}
