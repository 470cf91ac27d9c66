/// What a node of the hold store says about itself when it is greeted: everything that changes when it may have
/// forgotten something (rule E1).
public struct NodeIdentity: Sendable, Hashable {
    public var runID = ""
    public var replicationID = ""
    /// The value of the key `tollgate:epoch`, which a flush takes along.
    public var epochKey = ""

    public init(runID: String = "", replicationID: String = "", epochKey: String = "") {
        self.runID = runID
        self.replicationID = replicationID
        self.epochKey = epochKey
    }

    /// E of rule E1; stamped on every loaded account.
    public func epoch(ledgerGeneration: Int64) -> String {
        // FNV-1a with a finisher: this detects accidents, not adversaries.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in "\(self.runID)|\(self.replicationID)|\(self.epochKey)|\(ledgerGeneration)".utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        hash = (hash ^ (hash >> 32)) &* 0xd6e8_feb8_6659_fd93
        hash ^= hash >> 32
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// The epoch of the node alone: a new ledger generation is no loss of data.
    public var nodeEpoch: String { self.epoch(ledgerGeneration: 0) }
}
