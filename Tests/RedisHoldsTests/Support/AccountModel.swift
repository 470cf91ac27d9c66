import Metering

@testable import RedisHolds

/// What the scripts must do to one account, in plain Swift. Spend windows are those of one short run: nothing
/// ages out of them.
struct AccountModel {
    struct Hold { var amount: Int64 }

    var balance: Int64
    var version: Int64
    var floor: Int64
    var holds: [HoldID: Hold] = [:]
    var captures: [HoldID: Int64] = [:]
    var spent: Int64 = 0
    /// Fences per loop.
    var fences: [String: Int64] = [:]
    /// An over-hold was captured or posted: only then may `available` be negative.
    var hadOverHold = false

    var held: Int64 { self.holds.values.reduce(0) { $0 + $1.amount } }
    var captured: Int64 { self.captures.values.reduce(0, +) }
    var available: Int64 { self.balance - self.held - self.captured - self.floor }

    func isFenced(_ loop: String, _ generation: Int64) -> Bool { generation < self.fences[loop] ?? 0 }

    mutating func place(
        _ id: HoldID, want: Int64, least: Int64, session: Int64?, loop: String, generation: Int64
    ) -> [Int64] {
        if self.isFenced(loop, generation) { return [-5] }
        if let known = self.holds[id] { return [1, known.amount, self.balance - self.captured] }
        if self.captures[id] != nil { return [2] }
        var want = want
        if let session {
            let room = session - self.spent - self.held
            if room < least { return [-4, 2] }
            want = min(want, room)
        }
        var grant = want
        if grant > self.available {
            grant = max(least, Int64((Double(self.available) / 2).rounded(.down)))
        }
        if grant > self.available { return [-2, self.available, 1, self.version, 1] }
        let posted = self.balance - self.captured
        self.holds[id] = Hold(amount: grant)
        return [0, grant, posted]
    }

    mutating func capture(_ id: HoldID, _ amount: Int64, loop: String, generation: Int64, raise: Bool)
        -> Int64
    {
        if self.isFenced(loop, generation) { return -5 }
        if raise { self.fences[loop] = generation }
        if self.captures[id] != nil { return 1 }
        guard let hold = self.holds.removeValue(forKey: id) else { return 2 }
        self.captures[id] = amount
        self.spent += amount
        if amount > hold.amount { self.hadOverHold = true }
        return 0
    }

    mutating func release(_ id: HoldID, loop: String, generation: Int64, raise: Bool) -> Int64 {
        if self.isFenced(loop, generation) { return -5 }
        if raise { self.fences[loop] = generation }
        if self.holds.removeValue(forKey: id) != nil { return 0 }
        return self.captures[id] == nil ? 1 : 2
    }

    mutating func extend(_ id: HoldID, _ total: Int64, loop: String, generation: Int64) -> [Int64] {
        if self.isFenced(loop, generation) { return [-5] }
        guard let hold = self.holds[id] else { return [2] }
        let more = total - hold.amount
        if more <= 0 { return [1, hold.amount] }
        if self.available < more { return [-2, self.available] }
        self.holds[id] = Hold(amount: total)
        return [0, total]
    }

    mutating func posted(version: Int64, balance: Int64, _ settled: [(HoldID, Int64)]) -> Int64 {
        var gone: Int64 = 0
        for (id, amount) in settled {
            if let hold = self.holds.removeValue(forKey: id) {
                self.spent += amount
                gone += 1
                if amount > hold.amount { self.hadOverHold = true }
            }
            if self.captures[id] == amount {
                self.captures[id] = nil
                gone += 1
            }
        }
        if version > self.version { (self.version, self.balance) = (version, balance) }
        return gone
    }
}
