/// A trie packed into one array: the child of a unit by a byte is at the unit's base XOR the byte, if that unit says
/// that this byte leads to it.
///
/// Children are placed near their parent where there is room, so that a walk touches few cache lines.
struct DoubleArray {
    private(set) var units: [UInt64] = []
    /// The unit of each node.
    private(set) var places: [Int]

    private static let blockUnits = 256
    /// A block in which so many families found no room is looked at no more.
    private static let failuresMax = 24

    private let trie: TokenTrie
    private var isUsed: [Bool] = []
    private var isBase: [Bool] = []
    private var free: [Int] = []
    private var failures: [Int] = []
    private var open: [Int] = []

    init(_ trie: TokenTrie) {
        self.trie = trie
        self.places = [Int](repeating: 0, count: trie.children.count)
        self.addBlock()
        self.isUsed[0] = true
        self.free[0] -= 1
        // The two top levels first, since all walks pass there; then family by family.
        var leaves: [Int] = []
        var queue = [(node: 0, depth: 0)]
        var head = 0
        var stack: [(node: Int, depth: Int)] = []
        while !stack.isEmpty || head < queue.count {
            let (node, depth): (Int, Int)
            if let next = stack.popLast() {
                (node, depth) = next
            } else {
                (node, depth) = queue[head]
                head += 1
            }
            if trie.children[node].isEmpty {
                leaves.append(node)
                continue
            }
            self.placeChildren(of: node, near: depth > 0)
            let below = trie.children[node].map { ($0.node, depth + 1) }
            if depth == 0 { queue += below } else { stack += below }
        }
        // Leaves point to a block in which no unit is ever used.
        let guardBase = self.units.count
        self.units += [UInt64](repeating: 0, count: Self.blockUnits)
        for leaf in leaves { self.units[self.places[leaf]] |= UInt64(guardBase) << 9 }
        precondition(self.units.count < 1 << 23, "a base has 23 bits")
    }

    private mutating func addBlock() {
        self.open.append(self.free.count)
        self.free.append(Self.blockUnits)
        self.failures.append(0)
        self.units += repeatElement(0, count: Self.blockUnits)
        self.isUsed += repeatElement(false, count: Self.blockUnits)
        self.isBase += repeatElement(false, count: Self.blockUnits)
    }

    private mutating func placeChildren(of node: Int, near: Bool) {
        let family = self.trie.children[node]
        let parent = self.places[node]
        let base = (near ? self.baseNear(parent, family) : nil) ?? self.baseAnywhere(family)
        self.isBase[base] = true
        self.units[parent] |= UInt64(base) << 9
        for (byte, child) in family {
            let place = base ^ Int(byte)
            self.isUsed[place] = true
            self.free[place / Self.blockUnits] -= 1
            self.places[child] = place
            self.units[place] = UInt64(byte) | 0x100
            if let token = self.trie.longestSuffixes[child] { self.units[place] |= UInt64(token + 1) << 32 }
            if self.trie.tokens[child] != nil { self.units[place] |= TokenSections.Unit.isToken }
        }
    }

    private func fits(_ base: Int, _ family: [(byte: UInt8, node: Int)]) -> Bool {
        !self.isBase[base] && family.allSatisfy { !self.isUsed[base ^ Int($0.byte)] }
    }

    private func baseNear(_ parent: Int, _ family: [(byte: UInt8, node: Int)]) -> Int? {
        let first = Int(family[0].byte)
        let start = parent & ~7
        let end = min(start + (family.count == 1 ? 1024 : 2048), self.units.count)
        for place in start..<end where !self.isUsed[place] && self.fits(place ^ first, family) {
            return place ^ first
        }
        return nil
    }

    private mutating func baseAnywhere(_ family: [(byte: UInt8, node: Int)]) -> Int {
        let first = Int(family[0].byte)
        var index = 0
        while true {
            if index == self.open.count { self.addBlock() }
            let block = self.open[index]
            if self.free[block] >= family.count {
                let start = block * Self.blockUnits
                for place in start..<start + Self.blockUnits
                where !self.isUsed[place] && self.fits(place ^ first, family) {
                    return place ^ first
                }
                self.failures[block] += 1
            }
            if self.free[block] == 0 || self.failures[block] > Self.failuresMax {
                self.open.remove(at: index)
            } else {
                index += 1
            }
        }
    }
}
