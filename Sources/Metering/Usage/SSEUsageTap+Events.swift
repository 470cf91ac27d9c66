/// What the documents of a stream say, one by one.
extension SSEUsageTap {
    /// A line is complete; whether it is to be taken out.
    mutating func endLine(_ tokenizer: Tokenizer?) -> Bool {
        let line = self.line
        let mayDrop = self.stripUsage && !self.isInsideReleasedLine && self.lineBytes <= Self.heldBytesMax
        let isBlank = self.lineBytes == 0
        self.line = .field(matched: 0)
        self.lineBytes = 0
        self.isFirstLine = false
        if isBlank { return self.endEvent(tokenizer) }
        self.dropsNextBlank = false
        switch line {
        case .json:
            guard self.document.isComplete else { return false }
            let isUsage = self.takeDocument(tokenizer)
            self.dropsNextBlank = isUsage && mayDrop
            return self.dropsNextBlank
        case .done(matched: 6):
            self.sawDone = true
        case .field, .other:
            self.eventHasFields = true
        case .payloadStart:
            if self.documentIsOpen { self.continueDocument() }
            self.line = .field(matched: 0)
        case .done, .comment:
            break
        }
        return false
    }

    /// A blank line: the event is complete.
    private mutating func endEvent(_ tokenizer: Tokenizer?) -> Bool {
        if self.documentIsOpen { self.takeDocument(tokenizer) }
        let drops = self.dropsNextBlank && !self.eventHasFields
        self.dropsNextBlank = false
        self.eventHasFields = false
        return drops
    }

    /// Takes over what the document said; whether it was a chunk of usage and nothing else.
    @discardableResult
    mutating func takeDocument(_ tokenizer: Tokenizer?) -> Bool {
        self.document.finish()
        let spansLines = self.documentSpansLines
        self.documentIsOpen = false
        self.documentSpansLines = false
        if self.shape == .completions {
            self.show(deltas: self.document.visibleChoices, bytes: self.document.visibleBytes, tokenizer)
        } else {
            self.takeEvent(tokenizer)
        }
        self.finishReasonsSeen += self.document.finishReasons
        if self.document.hasError { self.sawErrorFrame = true }
        if self.document.isUsageMalformed {
            self.malformedUsage = true
            self.told = .nothing
        } else if let report = self.document.report {
            self.malformedUsage = false
            self.told = .usage(report)
        }
        return self.document.isComplete && self.document.choices == 0 && self.document.hasUsageObject
            && !self.document.hasError && !spansLines
    }

    /// An event with a type. Later events repeat what the deltas said, so only those are seen as output.
    private mutating func takeEvent(_ tokenizer: Tokenizer?) {
        let type = self.document.type
        if self.document.deltaBytes > 0, type.ends(with: ".delta") {
            // Of audio and images the bytes are base64, and tell nothing of tokens.
            self.show(
                deltas: 1, bytes: type.ends(with: "audio.delta") ? 0 : self.document.deltaBytes, tokenizer)
        }
        if let number = self.document.sequenceNumber { self.passed.sequenceNumber = number }
        if type.equals("error") { self.sawErrorFrame = true }
        if type.equals("response.output_item.done") { self.itemsSeen.add(self.document.toolCalls.billed) }
        guard Self.isLast(type) else { return }
        self.sawDone = true
        if self.shape == .responses { self.lastCalls = self.document.toolCalls }
    }

    /// Output that goes on, unless it is more than may.
    private mutating func show(deltas: Int, bytes: Int, _ tokenizer: Tokenizer?) {
        if let most = self.visibleTokensMax,
            self.passed.output.couldExceed(most, deltas: deltas, bytes: bytes)
        {
            self.passedBefore = .some(self.passed)
        }
        self.passed.output.add(
            deltas: deltas, text: bytes > 0 ? self.document.keptOutput : [], bytes: bytes, tokenizer,
            steps: &self.stepsLeft)
    }

    private static func isLast(_ type: ShortText<128>) -> Bool {
        type.equals("response.completed") || type.equals("response.incomplete")
            || type.equals("response.failed") || type.equals("image_generation.completed")
            || type.equals("transcript.text.done") || type.equals("speech.audio.done")
    }
}
