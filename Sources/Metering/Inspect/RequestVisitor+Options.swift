/// Options of a request that can change its price, and audio that it brings.
extension RequestVisitor {
    // MARK: Options

    mutating func takeReasoningMode(_ mode: String) throws(RequestRejection) {
        // `pro` runs a model more than once, and no document says how often it is billed.
        guard mode == "standard" else {
            throw .notMetered(.reasoningMode, "only 'standard' has a known price")
        }
    }

    /// These models are free (facts A3); another one would be a second model beside the one that is priced.
    mutating func takeModeration(_ model: String) throws(RequestRejection) {
        guard model.hasPrefix("omni-moderation-") || model.hasPrefix("text-moderation-") else {
            throw .notMetered(.moderationModel, "only moderation models are known to be free")
        }
    }

    // MARK: Audio

    mutating func declareSound() {
        self.request.media.insert(.audioInput)
        self.sounds.declared += 1
    }

    /// Bytes do not bound the tokens of audio: a header can stretch each of them over a second. So it is measured, as an
    /// upload is; what cannot be measured is held for by the model's context.
    mutating func takeSound(_ raw: RawText) {
        self.request.media.insert(.audioInput)
        guard let milliseconds = self.soundMilliseconds(raw), milliseconds <= Self.soundMillisecondsMax else {
            self.request.unboundedInput = true
            return
        }
        self.sounds.measured += 1
        self.request.soundMilliseconds += (milliseconds + 999) / 1000 * 1000
        self.request.soundBytes += raw.range.count
    }

    /// Some days: no context has room for more, and sums cannot overflow.
    private static let soundMillisecondsMax: Int64 = 1_000_000_000

    private func soundMilliseconds(_ raw: RawText) -> Int64? {
        // Some programs escape each slash.
        guard raw.escaped else {
            return AudioMeter.milliseconds(base64: UnsafeRawBufferPointer(rebasing: self.body[raw.range]))
        }
        var text = JSONText.unescape(self.body, raw.range)
        return text.withUTF8 { AudioMeter.milliseconds(base64: UnsafeRawBufferPointer($0)) }
    }

    /// Audio whose bytes were not found where they are known to stand.
    mutating func finishSounds() {
        if self.sounds.declared > self.sounds.measured { self.request.unboundedInput = true }
    }
}
