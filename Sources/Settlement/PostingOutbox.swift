import Metering

/// What the hold store has still to be told, merged by account: only the newest balance matters, and every
/// settled hold of the account goes with it.
struct PostingOutbox {
    private var accounts: [AccountID: PostedAccount] = [:]

    mutating func add(_ batch: [Settlement], _ receipt: SettlementReceipt) {
        let refused = Set(receipt.quarantined)
        var settled: [AccountID: [SettledHold]] = [:]
        for settlement in batch where !refused.contains(settlement.hold) {
            settled[settlement.account, default: []]
                .append(SettledHold(hold: settlement.hold, amount: settlement.charge.amount))
        }
        for balance in receipt.balances {
            self.merge(PostedAccount(balance: balance, settled: settled[balance.account] ?? []))
        }
    }

    /// Everything that waits; the caller gives back what was not acknowledged.
    mutating func take() -> [PostedAccount] {
        defer { self.accounts.removeAll(keepingCapacity: true) }
        return Array(self.accounts.values)
    }

    mutating func giveBack(_ postings: [PostedAccount]) {
        for posting in postings { self.merge(posting) }
    }

    private mutating func merge(_ posting: PostedAccount) {
        guard var known = self.accounts[posting.balance.account] else {
            self.accounts[posting.balance.account] = posting
            return
        }
        known.settled += posting.settled
        let (old, new) = (known.balance, posting.balance)
        if (new.generation, new.version) > (old.generation, old.version) { known.balance = new }
        self.accounts[posting.balance.account] = known
    }
}
