extension StoredReply {
    /// `resp_1`, `resp_1:=` when it was charged as a whole, or `resp_1:120:30` with the tokens that it read and wrote.
    var payloadText: String {
        guard let context = self.context else { return self.isCharged ? self.id.text + ":=" : self.id.text }
        return "\(self.id.text):\(context.input):\(context.output)"
    }

    /// Reads what `payloadText` wrote, and nothing that is written in another way.
    init?(payloadText text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard let first = parts.first, let id = ResponseID(first), parts.count <= 3 else { return nil }
        self.init(id: id, isCharged: parts.count > 1)
        guard parts.count == 3 else {
            guard self.payloadText == text else { return nil }
            return
        }
        guard let input = Int64(parts[1]), let output = Int64(parts[2]),
            let context = ContextTokens(input: input, output: output)
        else { return nil }
        self.context = context
        guard self.payloadText == text else { return nil }
    }
}
