/// What goes wrong with webhooks. The counts say how many deliveries are still hit; each attempt uses one up,
/// so that the attempt after it is right again.
struct DeliveryFaults: Equatable, Sendable {
    /// Further deliveries of every event.
    var duplicates = 0
    /// Further events, with ids of their own, about the same fact.
    var twins = 0
    /// Between an event and its first attempt.
    var delayMilliseconds = 0
    /// What is due leaves in an order that depends only on this seed.
    var shuffle: Identifiers?
    /// Events that are never delivered, only listed.
    var drop = 0
    var wrongLivemode = 0
    /// Signed over a time that lies `skewSeconds` away.
    var badTimestamp = 0
    var skewSeconds = -600
    var badSignature = 0
    /// Attempts under way at once. One keeps the order of events as long as all are taken.
    var concurrency = 1

    /// Uses up one of a count.
    static func take(_ count: inout Int) -> Bool {
        guard count > 0 else { return false }
        count -= 1
        return true
    }
}
