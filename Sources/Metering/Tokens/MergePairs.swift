/// From which two tokens each token is merged, while a table is built.
struct MergePairs {
    /// The two parts of each token; itself for a single byte.
    private(set) var parts: [(left: UInt32, right: UInt32)] = []
    private(set) var merged: [UInt64: UInt32] = [:]

    /// Throws when merging by rank never makes a token: then looking up a whole piece is no shortcut for merging.
    init(_ vocabulary: TokenVocabulary, _ trie: TokenTrie) throws(TokenVocabularyFault) {
        self.parts.reserveCapacity(vocabulary.tokens.count)
        self.merged.reserveCapacity(vocabulary.tokens.count)
        for (index, token) in vocabulary.tokens.enumerated() {
            let id = UInt32(index)
            if token.count == 1 {
                self.parts.append((id, id))
                continue
            }
            guard let (left, right) = self.cut(token, id, vocabulary, trie) else {
                throw .unreachable(line: index + 1)
            }
            self.parts.append((left, right))
            self.merged[TokenTableFormat.pairKey(left, right)] = id
        }
    }

    /// Of all ways to cut a token the right one is the only one whose parts may stand together.
    private func cut(
        _ token: [UInt8], _ id: UInt32, _ vocabulary: TokenVocabulary, _ trie: TokenTrie
    ) -> (left: UInt32, right: UInt32)? {
        for left in trie.prefixes(token).reversed() where left < id {
            let rest = token[vocabulary.tokens[Int(left)].count...]
            guard let right = vocabulary.ids[Array(rest)], right < id else { continue }
            if self.mayStandTogether(left, right) { return (left, right) }
        }
        return nil
    }

    private func mayStandTogether(_ left: UInt32, _ right: UInt32) -> Bool {
        Compatibility.check(
            left, right,
            merged: { self.merged[TokenTableFormat.pairKey($0, $1)] ?? TokenTableFormat.none },
            left: { self.parts[Int($0)].left }, right: { self.parts[Int($0)].right })
    }
}
