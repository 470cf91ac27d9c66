import Metering

/// An EXTEND that was asked for. Its total is absolute, so it may go out any number of times, on any connection.
struct HoldExtension: Sendable, Hashable {
    let total: Millicredits
    /// Then it is answered with what is known.
    let deadline: Moment
    /// When it goes out (again), while it is not out.
    var due: Moment
    /// EXTEND is unanswered on this connection.
    var isOut = false
    /// It waits for its account to be loaded.
    var isLoading = false
    /// Stands unless the ledger knows better.
    var refusal: ExtendAnswer?

    init(total: Millicredits, deadline: Moment, due: Moment) {
        (self.total, self.deadline, self.due) = (total, deadline, due)
    }

    func isDue(now: Moment) -> Bool { self.deadline <= now || !self.isOut && self.due <= now }
}
