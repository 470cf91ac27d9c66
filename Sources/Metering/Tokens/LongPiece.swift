/// A piece that goes on for longer than anything is held: all of one kind, so that what it is made of is known from its
/// start. Its tokens are counted as its bytes pass, in constant memory.
///
/// Two of the rules end a piece far in front of where they had to look: a word of capitals ends at its last caseless
/// letter, if no small letter follows, and white space at its last line break. So the count at the last such place is
/// kept, and what came since is counted a second time as a piece of its own.
struct LongPiece: Sendable {
    private var phase: Phase
    private var whole = PrefixCounter()
    /// Tokens up to the last place where the piece may have ended.
    private var accepted: Int?
    /// What came since.
    private var rest = PrefixCounter()

    private enum Phase: Equatable {
        /// Capitals and caseless letters. Becomes `.word` with the first small letter.
        case capitals
        /// Ends with the first character of another kind.
        case word
        /// Becomes `.lineBreaks` with the first character of another kind.
        case punctuation
        case lineBreaks
        case space
    }

    /// How far it got, and once it is over the tokens of all that it passed: of one piece, or of two.
    struct Progress {
        var position: BytePointer
        var tokens: Int?
    }

    /// A piece that is not decided though hundreds of bytes of it are there: all one run.
    /// - Parameter start: where it begins; moved behind what stands in front of its run.
    init<Rules: PieceRules>(
        _: Rules.Type, _ start: inout BytePointer, _ encoder: PieceEncoder, _ splitter: PieceSplitter
    ) {
        let (first, count) = splitter.scalar(start)
        let second = splitter.scalar(start + count).class
        let ended = CharacterClass.space | CharacterClass.letter | CharacterClass.number
        precondition(first & CharacterClass.number == 0, "a number is decided within a few bytes")
        let word: Phase = Rules.wordsHaveCase ? .capitals : .word
        let hasPrefix: Bool
        if first & Rules.word != 0 {
            (self.phase, hasPrefix) = (word, false)
        } else if first & CharacterClass.lineBreak == 0, second & Rules.word != 0 {
            (self.phase, hasPrefix) = (word, true)
        } else if first & CharacterClass.space == 0 {
            (self.phase, hasPrefix) = (.punctuation, false)
        } else if start[0] == UInt8(ascii: " "), second & ended == 0 {
            (self.phase, hasPrefix) = (.punctuation, true)
        } else {
            (self.phase, hasPrefix) = (.space, false)
        }
        if hasPrefix {
            self.whole.push(start, start + count, encoder)
            start += count
        }
    }

    /// Passes what belongs to the piece, from where it got last time.
    mutating func pass<Rules: PieceRules>(
        _ rules: Rules.Type, _ start: BytePointer, _ span: TextSpan, _ encoder: PieceEncoder,
        _ splitter: PieceSplitter
    ) -> Progress {
        var at = start
        if self.phase == .capitals { at = self.passCapitals(at, span, encoder, splitter) }
        if self.phase == .punctuation {
            let ended = CharacterClass.space | CharacterClass.letter | CharacterClass.number
            at = self.passRun(at, span, encoder, splitter) { $0 & ended == 0 }
            if at < span.end || span.isWhole { self.phase = .lineBreaks }
        }
        switch self.phase {
        case .capitals:
            return self.endWord(rules, at, span, encoder, splitter)
        case .word:
            let word = Rules.wordsHaveCase ? CharacterClass.lower : Rules.word
            at = self.passRun(at, span, encoder, splitter) { $0 & word != 0 }
            return self.endWord(rules, at, span, encoder, splitter)
        case .punctuation:
            return Progress(position: at)
        case .lineBreaks:
            let from = at
            while at < span.end, splitter.followsPunctuation(rules, at[0]) { at += 1 }
            self.whole.push(from, at, encoder)
            return Progress(position: at, tokens: at < span.end || span.isWhole ? self.whole.count : nil)
        case .space:
            return self.passSpace(rules, at, span, encoder, splitter)
        }
    }

    // MARK: Runs

    private mutating func passRun(
        _ start: BytePointer, _ span: TextSpan, _ encoder: PieceEncoder, _ splitter: PieceSplitter,
        while belongs: (UInt8) -> Bool
    ) -> BytePointer {
        var at = start
        while at < span.end {
            let (scalarClass, count) = splitter.scalar(at)
            guard belongs(scalarClass) else { break }
            at += count
        }
        self.whole.push(start, at, encoder)
        return at
    }

    private mutating func passCapitals(
        _ start: BytePointer, _ span: TextSpan, _ encoder: PieceEncoder, _ splitter: PieceSplitter
    ) -> BytePointer {
        var at = start
        var lastCaseless: BytePointer?
        while at < span.end {
            let (scalarClass, count) = splitter.scalar(at)
            if scalarClass & CharacterClass.upper == 0 {
                if scalarClass & CharacterClass.lower != 0 { self.phase = .word }
                break
            }
            at += count
            if scalarClass & CharacterClass.lower != 0 { lastCaseless = at }
        }
        self.push(start, at, acceptedAt: lastCaseless, encoder)
        // A small letter makes it one word from its start.
        if self.phase == .word { self.accepted = nil }
        return at
    }

    private mutating func push(
        _ start: BytePointer, _ end: BytePointer, acceptedAt place: BytePointer?, _ encoder: PieceEncoder
    ) {
        var from = start
        if let place {
            self.whole.push(start, place, encoder)
            self.accepted = self.whole.count
            self.rest.reset()
            from = place
        }
        self.whole.push(from, end, encoder)
        if self.accepted != nil { self.rest.push(from, end, encoder) }
    }

    // MARK: Ends

    private mutating func endWord<Rules: PieceRules>(
        _: Rules.Type, _ at: BytePointer, _ span: TextSpan, _ encoder: PieceEncoder, _ splitter: PieceSplitter
    ) -> Progress {
        if !span.isWhole, at + PieceSplitter.lookahead > span.end { return Progress(position: at) }
        let end = Rules.contractionsFollowWords ? splitter.suffixEnd(at) : at
        guard let accepted = self.accepted, !self.rest.isEmpty else {
            self.whole.push(at, end, encoder)
            return Progress(position: end, tokens: self.whole.count)
        }
        self.rest.push(at, end, encoder)
        return Progress(position: end, tokens: accepted + self.rest.count)
    }

    /// The last character is passed only when it is known what follows: it may belong to that.
    private mutating func passSpace<Rules: PieceRules>(
        _: Rules.Type, _ start: BytePointer, _ span: TextSpan, _ encoder: PieceEncoder,
        _ splitter: PieceSplitter
    ) -> Progress {
        var at = start
        var last = start
        var lineBreakEnds: (last: BytePointer?, beforeLast: BytePointer?) = (nil, nil)
        while at < span.end {
            let (scalarClass, count) = splitter.scalar(at)
            if scalarClass & CharacterClass.space == 0 { break }
            last = at
            at += count
            if scalarClass & CharacterClass.lineBreak != 0 {
                lineBreakEnds = (at, lineBreakEnds.last)
            }
        }
        let isOver = at < span.end || span.isWhole
        let isAtEnd = at >= span.end
        let endsInLineBreak = lineBreakEnds.last == at
        let end = isOver && (isAtEnd || endsInLineBreak) ? at : last
        let accepted = endsInLineBreak && end == last ? lineBreakEnds.beforeLast : lineBreakEnds.last
        self.push(start, end, acceptedAt: accepted, encoder)
        guard isOver else { return Progress(position: end) }
        let isOnePiece = self.accepted == nil || (isAtEnd && Rules.spaceAtEndIsOnePiece)
        return Progress(
            position: end, tokens: isOnePiece ? self.whole.count : (self.accepted ?? 0) + self.rest.count)
    }
}

/// `PrefixTokens` with the memory of what it remembers.
private struct PrefixCounter: Sendable {
    private var state = PrefixTokens()
    private var ring = [UInt64](repeating: 0, count: PrefixTokens.ringCount)

    var isEmpty: Bool { self.state.bytes == 0 }
    private(set) var count = 0

    mutating func reset() {
        self.state = PrefixTokens()
        self.count = 0
    }

    mutating func push(_ start: BytePointer, _ end: BytePointer, _ encoder: PieceEncoder) {
        var state = self.state
        self.count = self.ring.withUnsafeMutableBufferPointer { ring in
            guard let ring = ring.baseAddress else { return 0 }
            var at = start
            while at < end {
                state.push(at.pointee, encoder, ring, mask: PrefixTokens.ringMask)
                at += 1
            }
            return state.count(ring, mask: PrefixTokens.ringMask)
        }
        self.state = state
    }
}
