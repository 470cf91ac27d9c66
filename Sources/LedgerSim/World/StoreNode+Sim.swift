import Metering
import MoneyPath

/// The store's node in the words of the sweep and of the judge.
extension StoreNode {
    mutating func listed(_ account: AccountID) -> StoredAccount {
        var listed = StoredAccount(account: account, holds: [], captures: [])
        for entry in self.list(account) {
            switch entry {
            case .held(let hold, let entry):
                listed.holds.append(
                    StoredHold(
                        hold: hold, amount: entry.amount, deadlineMilliseconds: entry.deadline,
                        owner: entry.owner, placedMilliseconds: entry.placed,
                        inputEstimate: entry.inputEstimate, priceID: entry.priceID, endpoint: entry.endpoint,
                        progress: entry.progress))
            case .captured(let settlement):
                listed.captures.append(
                    StoredCapture(
                        hold: settlement.hold, amount: settlement.charge.amount, settlement: settlement))
            }
        }
        return listed
    }

    /// REAP, as `HoldSweeping.reap` answers.
    mutating func reapStored(
        _ hold: HoldID, of account: AccountID, from dead: HoldOwner, by reaper: BootID, nowMilliseconds: Int64
    ) -> StoredHold? {
        let reply = self.reap(
            hold: hold, of: account, dead: dead, by: reaper, lease: SimSettings.lease,
            nowMilliseconds: nowMilliseconds)
        return reply.taken.map { taken in
            StoredHold(
                hold: hold, amount: taken.amount, deadlineMilliseconds: 0,
                owner: HoldOwner(dead.boot, reaper: reaper),
                placedMilliseconds: taken.placed, inputEstimate: taken.inputEstimate, priceID: taken.priceID,
                endpoint: taken.endpoint, progress: taken.progress)
        }
    }

    var isEmpty: Bool { self.accounts.values.allSatisfy { $0.holds.isEmpty && $0.captures.isEmpty } }

    /// R1, R2, R4 of DESIGN §9; nil: all is well.
    func problem(of account: AccountID) -> String? {
        guard let hash = self.accounts[account] else { return nil }
        let held = hash.holds.values.reduce(0) { $0 + $1.amount.value }
        let captured = hash.captures.values.reduce(0) { $0 + $1.charge.amount.value }
        if held != hash.held ?? 0 { return "H is \(hash.held ?? 0), its holds are \(held)" }
        let waived = hash.holds.values.reduce(0) { $1.isWaived ? $0 + $1.amount.value : $0 }
        if waived != hash.waived ?? 0 { return "W is \(hash.waived ?? 0), its waived holds are \(waived)" }
        if captured != hash.captured ?? 0 {
            return "U is \(hash.captured ?? 0), its captures are \(captured)"
        }
        if let both = hash.holds.keys.first(where: { hash.captures[$0] != nil }) {
            return "\(both) is held and captured"
        }
        return nil
    }

    func balance(of account: AccountID) -> LedgerBalance? {
        self.accounts[account]?.ledger.map {
            LedgerBalance(
                account: account, generation: $0.generation, version: $0.version,
                balance: Millicredits($0.balance))
        }
    }

    /// Another process with this data; its identity was never used before.
    func restarted(after predecessor: StoreNode) -> StoreNode {
        var next = predecessor
        next.restart(from: self)
        return next
    }
}
