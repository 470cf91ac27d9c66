/// Tells when so many connections have closed that their memory is worth the milliseconds of giving it back to the system.
struct MemoryEbb {
    /// Open at a time since the last ebb.
    private var most = 0
    /// Fewer have less memory than it takes to look for it.
    static let connectionsMin = 256

    /// To be asked once a second.
    ///
    /// - Parameter connections: that are open now, on either side.
    mutating func isNow(connections: Int) -> Bool {
        self.most = max(self.most, connections)
        guard self.most >= Self.connectionsMin, connections <= self.most / 2 else { return false }
        self.most = connections
        return true
    }
}
