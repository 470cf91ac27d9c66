/// Names of objects, and the order in which shuffled events leave: the same for the same seed.
struct Identifiers: Equatable, Sendable {
    private var state: UInt64
    private static let letters = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

    init(seed: UInt64) { self.state = seed }

    mutating func next(_ prefix: String, length: Int = 24) -> String {
        var text = prefix
        for _ in 0..<length { text.append(Self.letters[self.number(below: Self.letters.count)]) }
        return text
    }

    /// `limit` is at least 1.
    mutating func number(below limit: Int) -> Int { Int(self.bits() % UInt64(limit)) }

    /// SplitMix64.
    private mutating func bits() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
