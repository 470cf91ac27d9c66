/// All tokens by their beginnings, while a table is built.
struct TokenTrie {
    /// Children of each node, in the order in which they were added.
    private(set) var children: [[(byte: UInt8, node: Int)]] = [[]]
    /// The token that ends at a node.
    private(set) var tokens: [UInt32?] = [nil]
    /// The node of the longest proper suffix that is in the trie.
    private(set) var fails: [Int] = []
    /// The longest token that the bytes of a node end with.
    private(set) var longestSuffixes: [UInt32?] = []
    private var steps: [UInt64: Int] = [:]

    init(_ vocabulary: TokenVocabulary) {
        self.steps.reserveCapacity(vocabulary.tokens.count * 3)
        for (id, token) in vocabulary.tokens.enumerated() { self.tokens[self.insert(token)] = UInt32(id) }
        self.linkSuffixes()
    }

    private mutating func insert(_ token: [UInt8]) -> Int {
        var node = 0
        for byte in token {
            if let next = self.child(node, byte) {
                node = next
            } else {
                let next = self.children.count
                self.steps[Self.key(node, byte)] = next
                self.children[node].append((byte, next))
                self.children.append([])
                self.tokens.append(nil)
                node = next
            }
        }
        return node
    }

    private static func key(_ node: Int, _ byte: UInt8) -> UInt64 { UInt64(node) << 8 | UInt64(byte) }

    func child(_ node: Int, _ byte: UInt8) -> Int? { self.steps[Self.key(node, byte)] }

    /// The tokens that some bytes begin with, shortest first.
    func prefixes(_ bytes: [UInt8]) -> [UInt32] {
        var found: [UInt32] = []
        var node = 0
        for byte in bytes {
            guard let next = self.child(node, byte) else { break }
            node = next
            if let token = self.tokens[node] { found.append(token) }
        }
        return found
    }

    /// Breadth first, so that shorter suffixes are linked before they are followed.
    private mutating func linkSuffixes() {
        self.fails = [Int](repeating: 0, count: self.children.count)
        self.longestSuffixes = self.tokens
        var queue = [0]
        queue.reserveCapacity(self.children.count)
        var head = 0
        while head < queue.count {
            let node = queue[head]
            head += 1
            for (byte, next) in self.children[node] {
                queue.append(next)
                if node != 0 {
                    var suffix = self.fails[node]
                    while suffix != 0, self.child(suffix, byte) == nil { suffix = self.fails[suffix] }
                    self.fails[next] = self.child(suffix, byte) ?? 0
                }
                if self.tokens[next] == nil {
                    self.longestSuffixes[next] = self.longestSuffixes[self.fails[next]]
                }
            }
        }
    }
}
