typealias BytePointer = UnsafePointer<UInt8>

/// Where text may still go on, or not.
struct TextSpan {
    /// Behind the last byte. 16 more can be read; behind the end of the whole text these are zero.
    let end: BytePointer
    /// Nothing follows.
    let isWhole: Bool
}

/// Finds the ends of pieces in valid UTF-8.
///
/// Every search stops at the end of the span. So while text may go on, a piece is decided only when it ends
/// `lookahead` bytes before the end; a search that had to look further says that it ended there.
struct PieceSplitter {
    let ascii: BytePointer
    let blocks: BytePointer
    let classes: BytePointer

    /// Bytes behind a piece that may belong to its decision: `'ll`, or one scalar.
    static let lookahead = 4

    init(_ sections: TokenSections) {
        self.ascii = sections.asciiClasses
        self.blocks = sections.classBlocks
        self.classes = sections.classes
    }

    // MARK: Scalars

    /// The class of the scalar at a place, and its bytes.
    @inline(__always)
    func scalar(_ at: BytePointer) -> (class: UInt8, count: Int) {
        let first = UInt32(at[0])
        if first < 0x80 { return (self.ascii[Int(first)], 1) }
        let second = UInt32(at[1] & 0x3f)
        if first < 0xe0 { return (self.class((first & 0x1f) << 6 | second), 2) }
        let third = UInt32(at[2] & 0x3f)
        if first < 0xf0 { return (self.class((first & 0x0f) << 12 | second << 6 | third), 3) }
        return (self.class((first & 0x07) << 18 | second << 12 | third << 6 | UInt32(at[3] & 0x3f)), 4)
    }

    @inline(__always)
    private func `class`(_ scalar: UInt32) -> UInt8 {
        self.classes[Int(self.blocks[Int(scalar >> 7)]) << 7 | Int(scalar & 127)]
    }

    // MARK: Pieces

    /// The end of the piece that begins at `start`, which is in front of the end.
    @inline(__always)
    func pieceEnd<Rules: PieceRules>(_: Rules.Type, _ start: BytePointer, _ span: TextSpan) -> BytePointer {
        let first = start[0]
        if first >= 0x80 { return self.pieceEndBeyondASCII(Rules.self, start, span) }
        let firstClass = self.ascii[Int(first)]
        if !Rules.contractionsFollowWords, first == UInt8(ascii: "'") {
            let end = self.contractionEnd(start)
            if end != start { return end }
        }
        var at = start
        let startsWord = CharacterClass.letter | CharacterClass.number | CharacterClass.lineBreak
        if firstClass & startsWord == 0 { at += 1 }
        let nextClass = self.ascii[Int(at[0])]
        if nextClass & (CharacterClass.letter | CharacterClass.notASCII) != 0 {
            if nextClass & CharacterClass.notASCII == 0 {
                let end = self.asciiWordEnd(Rules.self, at, span)
                if end[0] < 0x80 { return Rules.contractionsFollowWords ? self.suffixEnd(end) : end }
            }
            if at < span.end, let end = self.wordEnd(Rules.self, at, span, smallOnly: false) { return end }
        }
        if firstClass & CharacterClass.number != 0 { return self.numberEnd(start, span) }
        if firstClass & CharacterClass.space == 0 { return self.punctuationEnd(Rules.self, start, span) }
        if first == UInt8(ascii: " "), at < span.end,
            self.scalar(at).class & (CharacterClass.space | CharacterClass.letter | CharacterClass.number)
                == 0
        {
            return self.punctuationEnd(Rules.self, at, span)
        }
        return self.spaceEnd(Rules.self, start, span)
    }

    @inline(never)
    private func pieceEndBeyondASCII<Rules: PieceRules>(
        _: Rules.Type, _ start: BytePointer, _ span: TextSpan
    ) -> BytePointer {
        let (firstClass, count) = self.scalar(start)
        if firstClass & CharacterClass.letter != 0 {
            return self.wordEnd(Rules.self, start, span, smallOnly: false) ?? span.end
        }
        if firstClass & CharacterClass.number != 0 { return self.numberEnd(start, span) }
        let next = start + count
        // A mark may be in front of a word, or of it, but not in front of capitals alone.
        let isMark = firstClass & Rules.word != 0
        if next < span.end, let end = self.wordEnd(Rules.self, next, span, smallOnly: isMark) { return end }
        if isMark { return self.wordEnd(Rules.self, start, span, smallOnly: true) ?? span.end }
        if firstClass & CharacterClass.space == 0 { return self.punctuationEnd(Rules.self, start, span) }
        return self.spaceEnd(Rules.self, start, span)
    }

    // MARK: Words

    /// The end of the run of ASCII letters, as far as they can be one word.
    @inline(__always)
    private func asciiWordEnd<Rules: PieceRules>(
        _: Rules.Type, _ start: BytePointer, _ span: TextSpan
    ) -> BytePointer {
        var at = start
        if Rules.wordsHaveCase {
            while at < span.end, self.ascii[Int(at[0])] & CharacterClass.upper != 0 { at += 1 }
        }
        while at < span.end {
            var word = UnsafeRawPointer(at).loadUnaligned(as: UInt64.self)
            // The bit by which capitals differ from small letters.
            if !Rules.wordsHaveCase { word |= 0x2020_2020_2020_2020 }
            let low = word & 0x7f7f_7f7f_7f7f_7f7f
            let fromA = low &+ 0x1f1f_1f1f_1f1f_1f1f
            let beyondZ = low &+ 0x0505_0505_0505_0505
            let others = ~(fromA & ~beyondZ & ~word) & 0x8080_8080_8080_8080
            if others != 0 { return at + others.trailingZeroBitCount >> 3 }
            at += 8
        }
        return at
    }

    /// The exact rule of words behind what may stand in front of one; nil when none begins here.
    @inline(never)
    private func wordEnd<Rules: PieceRules>(
        _: Rules.Type, _ start: BytePointer, _ span: TextSpan, smallOnly: Bool
    ) -> BytePointer? {
        Rules.wordsHaveCase
            ? self.casedWordEnd(start, span, smallOnly: smallOnly) : self.letterRunEnd(start, span)
    }

    /// Of o200k_base. Capitals and what has no case, then small letters and what has no case. Without a small letter
    /// it goes back to the last that has no case: 中AB is 中 and AB.
    /// - Parameter smallOnly: the first alternative only, in which there is one of the latter.
    private func casedWordEnd(_ start: BytePointer, _ span: TextSpan, smallOnly: Bool) -> BytePointer? {
        var at = start
        var lastCaseless: BytePointer?
        var (scalarClass, count): (UInt8, Int) = (0, 0)
        while at < span.end {
            (scalarClass, count) = self.scalar(at)
            if scalarClass & CharacterClass.upper == 0 { break }
            at += count
            if scalarClass & CharacterClass.lower != 0 { lastCaseless = at }
        }
        if at >= span.end, !span.isWhole { return at }
        if at < span.end, scalarClass & CharacterClass.lower != 0 {
            repeat {
                at += count
                if at >= span.end { break }
                (scalarClass, count) = self.scalar(at)
            } while scalarClass & CharacterClass.lower != 0
            return self.suffixEnd(at)
        }
        if let lastCaseless { return lastCaseless == at ? self.suffixEnd(at) : lastCaseless }
        if smallOnly || at == start { return nil }
        return self.suffixEnd(at)
    }

    /// Of cl100k_base.
    private func letterRunEnd(_ start: BytePointer, _ span: TextSpan) -> BytePointer? {
        var at = start
        while at < span.end {
            let (scalarClass, count) = self.scalar(at)
            if scalarClass & CharacterClass.letter == 0 { break }
            at += count
        }
        return at == start ? nil : at
    }

    /// Behind a word: the end of `'s` and the like, if it follows.
    @inline(__always)
    func suffixEnd(_ at: BytePointer) -> BytePointer {
        at[0] == UInt8(ascii: "'") ? self.contractionEnd(at) : at
    }

    /// The apostrophe is there; the same place when it is no contraction.
    @inline(never)
    private func contractionEnd(_ at: BytePointer) -> BytePointer {
        // U+017F, the long s, is an s to a comparison without case.
        if at[1] == 0xc5, at[2] == 0xbf { return at + 3 }
        guard at[1] < 0x80 else { return at }
        let second = at[2] | 0x20
        switch at[1] | 0x20 {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return at + 2
        case UInt8(ascii: "r"), UInt8(ascii: "v"): return second == UInt8(ascii: "e") ? at + 3 : at
        case UInt8(ascii: "l"): return second == UInt8(ascii: "l") ? at + 3 : at
        default: return at
        }
    }

    // MARK: The rest

    @inline(__always)
    private func numberEnd(_ start: BytePointer, _ span: TextSpan) -> BytePointer {
        var at = start
        for _ in 0..<3 where at < span.end {
            let (scalarClass, count) = self.scalar(at)
            if scalarClass & CharacterClass.number == 0 { break }
            at += count
        }
        return at
    }

    @inline(__always)
    private func punctuationEnd<Rules: PieceRules>(
        _: Rules.Type, _ start: BytePointer, _ span: TextSpan
    ) -> BytePointer {
        var at = start
        while at < span.end {
            let (scalarClass, count) = self.scalar(at)
            if scalarClass & (CharacterClass.space | CharacterClass.letter | CharacterClass.number) != 0 {
                break
            }
            at += count
        }
        while at < span.end, self.followsPunctuation(Rules.self, at[0]) { at += 1 }
        return at
    }

    @inline(__always)
    func followsPunctuation<Rules: PieceRules>(_: Rules.Type, _ byte: UInt8) -> Bool {
        byte == 0x0a || byte == 0x0d || (Rules.slashesFollowPunctuation && byte == UInt8(ascii: "/"))
    }

    /// A run of white space ends behind its last line break; without one at the end of the text; otherwise in front
    /// of its last character, which goes to what follows. A single character is a piece.
    private func spaceEnd<Rules: PieceRules>(
        _: Rules.Type, _ start: BytePointer, _ span: TextSpan
    ) -> BytePointer {
        var at = start
        var last = start
        var lineBreakEnd: BytePointer?
        while at < span.end {
            let (scalarClass, count) = self.scalar(at)
            if scalarClass & CharacterClass.space == 0 { break }
            last = at
            at += count
            if scalarClass & CharacterClass.lineBreak != 0 { lineBreakEnd = at }
        }
        if at >= span.end, !span.isWhole || Rules.spaceAtEndIsOnePiece { return at }
        if let lineBreakEnd { return lineBreakEnd }
        return at >= span.end || last == start ? at : last
    }
}
