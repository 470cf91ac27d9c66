/// Documents that are like the one before.
extension ReplyScanner {
    /// Takes a whole document that is the one before but for its text and its number: the scanner is then where
    /// `begin` and `feed` would have brought it. false: it is another one, and nothing was done.
    mutating func takeRepeated(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard self.isComplete, let values = self.last.values(of: bytes) else { return false }
        self.last.countRepeat()
        self.visibleChoices = 0
        self.visibleBytes = 0
        self.deltaBytes = 0
        self.emptyKept()
        if let number = values.sequence { self.sequenceNumber = number }
        guard !values.shown.isEmpty else { return true }
        self.see(UnsafeRawBufferPointer(rebasing: bytes[values.shown]), isDelta: self.last.textIsDelta)
        self.visibleChoices = self.choiceIsVisible ? 1 : 0
        self.choiceIsVisible = false
        return true
    }

    /// Keeps a document that was fed in one piece, if the next one may be like it: one with a text, of one
    /// choice.
    mutating func remember(_ bytes: UnsafeRawBufferPointer) {
        let isPlain = self.last.textIsDelta ? self.deltaBytes > 0 : self.visibleChoices == 1
        guard self.isComplete, isPlain, !self.choiceIsVisible else { return }
        self.last.keep(bytes)
    }
}
