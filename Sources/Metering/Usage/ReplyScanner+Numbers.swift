/// Numbers, and the three words of JSON.
extension ReplyScanner {
    /// Takes what there is of a number, or ends it: then the byte belongs to what follows.
    @inline(__always)
    mutating func takeNumber(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        let at = self.takeDigits(bytes, start)
        guard at < bytes.count else { return at }
        let isSequence = self.slot == .sequence
        if self.takeMark(bytes[at]) { return at &+ 1 }
        if isSequence { self.last.noteSequence(bytes, endingAt: at, isWhole: !self.numberIsBad) }
        self.endNumber()
        self.endScalar()
        return at
    }

    private mutating func takeDigits(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var (at, number, isBad) = (start, self.number, self.numberIsBad)
        while at < bytes.count {
            let digit = bytes[at] &- 0x30
            guard digit <= 9 else { break }
            let (scaled, overflow) = number.multipliedReportingOverflow(by: 10)
            let (next, carry) = scaled.addingReportingOverflow(Int64(digit))
            isBad = isBad || overflow || carry
            number = overflow || carry ? 0 : next
            at &+= 1
        }
        if self.fraction.isOpen { self.fraction.digits &+= at &- start }
        (self.number, self.numberIsBad) = (number, isBad)
        return at
    }

    /// false: the byte is no part of a number.
    private mutating func takeMark(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: ".") where self.slot == .seconds && !self.fraction.isOpen:
            self.fraction.isOpen = true
            return true
        case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "+"), UInt8(ascii: "-"):
            self.numberIsBad = true
            return true
        default:
            return false
        }
    }

    mutating func endNumber() {
        let whole = self.numberIsBad ? nil : self.number
        switch self.slot {
        case .sequence: self.sequenceNumber = whole
        // It is no part of the usage object, which is believed whatever stands here.
        case .searches: self.toolCalls.reported(searches: whole)
        default: self.takeCount()
        }
    }

    private mutating func takeCount() {
        guard self.slot.isCount || self.slot == .seconds else { return }
        guard !self.numberIsBad else {
            self.isUsageMalformed = true
            return
        }
        let number = self.number
        switch self.slot {
        case .input: self.usage.inputTokens = number
        case .outputCount: self.usage.outputTokens = number
        case .total: self.usage.totalTokens = number
        case .cached: self.usage.cachedTokens = number
        case .cacheWrite: self.usage.cacheWriteTokens = number
        case .cacheWrite30Minutes: self.usage.cacheWrite30MinuteTokens = number
        case .cacheWrite12Hours: self.usage.cacheWrite12HourTokens = number
        case .inputAudio: self.usage.inputAudioTokens = number
        case .inputImage: self.usage.inputImageTokens = number
        case .inputText: self.usage.inputTextTokens = number
        case .cachedAudio: self.usage.cachedAudioTokens = number
        case .cachedImage: self.usage.cachedImageTokens = number
        case .reasoning: self.usage.reasoningTokens = number
        case .outputAudio: self.usage.outputAudioTokens = number
        case .outputImage: self.usage.outputImageTokens = number
        case .outputText: self.usage.outputTextTokens = number
        case .seconds: self.takeSeconds(number)
        default: break
        }
    }

    /// Seconds to milliseconds, up: a fraction of a millisecond is charged as one.
    private mutating func takeSeconds(_ digits: Int64) {
        var (value, missing) = (Int128(digits), 3 - self.fraction.digits)
        var isExact = true
        while missing > 0 {
            value *= 10
            missing -= 1
        }
        while missing < 0 {
            isExact = isExact && value % 10 == 0
            value /= 10
            missing += 1
        }
        self.usage.milliseconds = Int64(exactly: value + (isExact ? 0 : 1)) ?? .max
    }

    mutating func beginLiteral(_ literal: StaticString, _ kind: Kind) {
        guard self.beginValue(kind) else { return }
        self.literal = literal
        self.literalMatched = 1
        self.state = .literal
    }

    /// Takes what there is of the word, or stops at the byte that it does not have.
    mutating func takeLiteral(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var at = start
        while at < bytes.count {
            guard bytes[at] == self.literal.utf8Start[self.literalMatched] else {
                self.breakOff()
                return at
            }
            at &+= 1
            self.literalMatched &+= 1
            if self.literalMatched == self.literal.utf8CodeUnitCount {
                self.endScalar()
                break
            }
        }
        return at
    }
}
