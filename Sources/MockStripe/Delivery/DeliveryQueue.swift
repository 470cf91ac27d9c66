/// Which event goes to which endpoint, and when. Pure: times come from the caller, in milliseconds.
struct DeliveryQueue: Equatable, Sendable {
    /// Stripe tries for three days; this one is in a hurry.
    struct Retries: Equatable, Sendable {
        var firstMilliseconds = 200
        var longestMilliseconds = 5_000
        /// Attempts after which it gives up. The event stays listed as undelivered.
        var attemptsMax = 30
    }

    struct Item: Equatable, Sendable {
        let id: Int
        let event: String
        let endpoint: String
        var attempts = 0
        var dueAt: Int

        func isBefore(_ other: Item) -> Bool { (self.dueAt, self.id) < (other.dueAt, other.id) }
    }

    enum Ending: Equatable {
        case delivered
        case again(at: Int)
        case givenUp
        case unknown
    }

    /// In the order in which they are due.
    private(set) var waiting: [Item] = []
    private var sending: [Int: Item] = [:]
    private var lastID = 0
    /// While stopped, events gather.
    var isStopped = false

    init() {}

    /// An empty queue whose numbers go on, so that a late answer finds nothing.
    init(after other: DeliveryQueue) { self.lastID = other.lastID }

    /// Waiting or under way.
    var count: Int { self.waiting.count + self.sending.count }
    var underWay: Int { self.sending.count }

    mutating func add(event: String, endpoint: String, now: Int, faults: inout DeliveryFaults) {
        guard !DeliveryFaults.take(&faults.drop) else { return }
        for _ in 0...max(0, faults.duplicates) {
            self.lastID += 1
            self.insert(
                Item(
                    id: self.lastID, event: event, endpoint: endpoint, dueAt: now + faults.delayMilliseconds))
        }
    }

    /// The next attempt, if one may begin now. With a shuffle it may be any of those that are due.
    mutating func next(now: Int, faults: inout DeliveryFaults) -> Item? {
        guard !self.isStopped, self.sending.count < faults.concurrency else { return nil }
        let due = self.firstPlace { $0.dueAt > now }
        guard due > 0 else { return nil }
        var item = self.waiting.remove(at: faults.shuffle?.number(below: due) ?? 0)
        item.attempts += 1
        self.sending[item.id] = item
        return item
    }

    /// `status` is 0 when there was no answer.
    mutating func ended(_ id: Int, status: Int, now: Int, _ retries: Retries) -> (Item?, Ending) {
        guard var item = self.sending.removeValue(forKey: id) else { return (nil, .unknown) }
        guard !(200..<300).contains(status) else { return (item, .delivered) }
        guard item.attempts < retries.attemptsMax else { return (item, .givenUp) }
        let doubled = retries.firstMilliseconds << min(item.attempts - 1, 20)
        item.dueAt = now + min(doubled, retries.longestMilliseconds)
        self.insert(item)
        return (item, .again(at: item.dueAt))
    }

    /// Whatever waits is tried at once.
    mutating func hurry(now: Int) {
        for place in self.waiting.indices { self.waiting[place].dueAt = min(self.waiting[place].dueAt, now) }
        self.waiting.sort { $0.isBefore($1) }
    }

    private mutating func insert(_ item: Item) {
        self.waiting.insert(item, at: self.firstPlace { item.isBefore($0) })
    }

    /// The first item of which `isLater` is true, as it is of all that follow.
    private func firstPlace(where isLater: (Item) -> Bool) -> Int {
        var places = 0..<self.waiting.count
        while !places.isEmpty {
            let middle = (places.lowerBound + places.upperBound) / 2
            places =
                isLater(self.waiting[middle])
                ? places.lowerBound..<middle : middle + 1..<places.upperBound
        }
        return places.lowerBound
    }
}
