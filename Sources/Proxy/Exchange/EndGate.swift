/// Decides when the end of a reply may go to the client: not while its outcome is on its way to the disk
/// (DESIGN §6, `JOURNAL_SYNC=strict`). Whatever a client can take for the end waits: `[DONE]`, the last byte of
/// a known length, the last chunk, an error frame, the close of the connection.
struct EndGate: Equatable {
    private enum State: Equatable {
        /// Nothing is decided yet, or what was decided is safe. Can become `closed`.
        case open
        /// The outcome is recorded and not yet safe. Can become `open`, `holding`.
        case closed
        /// The same, and the reply has come to its end here. Can become `open`.
        case holding(Exchange.ReplyEnd)
    }

    private var state: State = .open

    enum EndAction: Equatable {
        case write(Exchange.ReplyEnd)
        /// `becameSafe` gives the end back.
        case wait
    }

    enum SafeAction: Equatable {
        /// Nothing waited: told twice, or nobody closed the gate.
        case ignore
        /// What was held back goes on; the end is yet to come.
        case goOn
        /// What was held back goes on, and this end behind it.
        case end(Exchange.ReplyEnd)
    }

    /// Bytes that complete the reply have to wait.
    var isClosed: Bool { self.state != .open }

    /// The reply would be over but for the disk.
    var holdsEnd: Bool {
        if case .holding = self.state { return true }
        return false
    }

    /// An outcome was recorded that is not safe yet.
    mutating func close() { if self.state == .open { self.state = .closed } }

    /// The reply ends like this.
    mutating func end(_ end: Exchange.ReplyEnd) -> EndAction {
        switch self.state {
        case .open:
            return .write(end)
        case .closed:
            self.state = .holding(end)
            return .wait
        case .holding:
            // Upstream's end and a deadline can both come; the first one stands.
            return .wait
        }
    }

    /// The outcome is on the disk.
    mutating func becameSafe() -> SafeAction {
        defer { self.state = .open }
        switch self.state {
        case .open: return .ignore
        case .closed: return .goOn
        case .holding(let end): return .end(end)
        }
    }
}
