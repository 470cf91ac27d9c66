import Metering

extension LedgerModel {
    /// One batch as `PostgresLedger.settle` posts it: whole, or halved around the rows that the ledger refuses, which
    /// go to quarantine.
    ///
    /// - Parameter now: the database's clock, milliseconds since 1970.
    public mutating func settle(_ batch: [LedgerEntry], now: Int64) -> SettlementReceipt {
        var receipt = SettlementReceipt(balances: [])
        var balances: [AccountID: LedgerBalance] = [:]
        self.settle(batch[...], now: now, into: &receipt, &balances)
        if !receipt.quarantined.isEmpty {
            // Also those of which nothing was accepted.
            for known in Set(batch.map(\.account)).compactMap({ self.balance(of: $0) }) {
                balances[known.account] = known
            }
        }
        receipt.balances = balances.values.sorted { $0.account < $1.account }
        return receipt
    }

    private mutating func settle(
        _ batch: ArraySlice<LedgerEntry>, now: Int64, into receipt: inout SettlementReceipt,
        _ balances: inout [AccountID: LedgerBalance]
    ) {
        guard let only = batch.first else { return }
        if let posted = self.post(batch, now: now) {
            for balance in posted.balances { balances[balance.account] = balance }
            receipt.conflicts += posted.conflicts
        } else if batch.count == 1 {
            self.quarantine.insert(SetAside(only))
            receipt.quarantined.append(only.hold)
        } else {
            let middle = batch.startIndex + batch.count / 2
            self.settle(batch[..<middle], now: now, into: &receipt, &balances)
            self.settle(batch[middle...], now: now, into: &receipt, &balances)
        }
    }

    /// One call of `settle()`, all or nothing; nil: a row is refused.
    private mutating func post(_ batch: ArraySlice<LedgerEntry>, now: Int64) -> SettlementReceipt? {
        guard !self.has(.horizon) || batch.allSatisfy({ Self.isWithinHorizon($0.hold, now: now) }) else {
            return nil
        }
        let winners = self.highest(of: batch) { _ in true }
        guard winners.values.allSatisfy({ $0.isAcceptable && self.accounts[$0.account] != nil }) else {
            return nil
        }
        let fresh =
            self.has(.primaryKey)
            ? winners.filter { self.rows[$0.key] == nil } : winners
        var posting = Posting()
        for entry in fresh.values { posting.add(entry.amount.value, to: entry.account) }
        let higher = fresh.count == batch.count ? [:] : self.higher(of: batch, fresh: fresh)
        var correcting = Posting()
        for (key, entry) in higher {
            let counts = self.counting(key, fresh: fresh)?.amount.value ?? 0
            correcting.add(entry.amount.value - counts, to: entry.account)
        }
        guard self.allows(posting, then: correcting) else { return nil }

        // From here on this must succeed.
        let conflicts =
            fresh.count == batch.count ? [] : self.rivals(in: batch, fresh: fresh, higher: higher)
        self.insert(fresh)
        self.correct(higher)
        self.apply(posting)
        self.apply(correcting)
        let known = self.conflicts.count
        if self.has(.conflictsRecorded) { self.conflicts.formUnion(conflicts) }
        var named = Set(batch.map(\.account))
        if !self.has(.answersAllAccounts) {
            named = Set(fresh.values.map(\.account)).union(higher.values.map(\.account))
        }
        return SettlementReceipt(
            balances: named.compactMap { self.balance(of: $0) }, conflicts: self.conflicts.count - known)
    }

    private static func isWithinHorizon(_ hold: HoldID, now: Int64) -> Bool {
        let age = now - Int64(hold.millisecondsSinceEpoch)
        return age <= self.horizonMilliseconds && age > -self.aheadMilliseconds
    }

    // MARK: Which rows count

    /// The first one of highest authority for each hold.
    private func highest(
        of batch: ArraySlice<LedgerEntry>, where isAsked: (LedgerEntry) -> Bool
    ) -> [Key: LedgerEntry] {
        var winners: [Key: LedgerEntry] = [:]
        winners.reserveCapacity(batch.count)
        let ordered = self.has(.authorityOrder)
        for entry in batch where isAsked(entry) {
            if let winner = winners[entry.key],
                !ordered || winner.authority.rawValue >= entry.authority.rawValue
            {
                continue
            }
            winners[entry.key] = entry
        }
        return winners
    }

    /// What counts once `fresh` is inserted.
    private func counting(_ key: Key, fresh: [Key: LedgerEntry]) -> LedgerEntry? {
        guard let row = self.rows[key] else { return fresh[key] }
        return self.has(.correctionKey) ? row.counts : row.first
    }

    /// The outcomes that correct what counts.
    private func higher(of batch: ArraySlice<LedgerEntry>, fresh: [Key: LedgerEntry]) -> [Key: LedgerEntry] {
        guard self.has(.everyInputCompared) else { return [:] }
        return self.highest(of: batch) { entry in
            guard let counts = self.counting(entry.key, fresh: fresh) else { return false }
            return entry.authority.rawValue > counts.authority.rawValue
        }
    }

    /// Final outcomes that differ from the final outcome that counts afterwards.
    private func rivals(
        in batch: ArraySlice<LedgerEntry>, fresh: [Key: LedgerEntry], higher: [Key: LedgerEntry]
    ) -> [SetAside] {
        guard self.has(.everyInputCompared) else { return [] }
        return batch.compactMap { entry in
            guard entry.authority == .owner,
                let counts = higher[entry.key] ?? self.counting(entry.key, fresh: fresh),
                counts.authority == .owner,
                (counts.amount, counts.digest) != (entry.amount, entry.digest)
            else { return nil }
            return SetAside(entry)
        }
    }

    // MARK: What changes

    private mutating func insert(_ fresh: [Key: LedgerEntry]) {
        for (key, entry) in fresh {
            if self.rows[key] == nil {
                self.rows[key] = Row(first: entry, paid: entry.amount.value)
            } else {
                self.rows[key]?.paid += entry.amount.value
            }
        }
    }

    private mutating func correct(_ higher: [Key: LedgerEntry]) {
        for (key, entry) in higher {
            guard var row = self.rows[key] else { continue }
            let counts = self.has(.correctionKey) ? row.counts : row.first
            row.paid += entry.amount.value - counts.amount.value
            switch entry.authority {
            case .reaper: continue  // nothing is lower
            case .recovery: row.recovery = entry
            case .owner: row.owner = entry
            }
            self.rows[key] = row
        }
    }

    /// What one transaction takes from each account it names.
    private struct Posting {
        private(set) var amounts: [AccountID: Int64] = [:]

        mutating func add(_ amount: Int64, to account: AccountID) {
            self.amounts[account, default: 0] += amount
        }
    }

    private func allows(_ posting: Posting, then correcting: Posting) -> Bool {
        for (account, amount) in posting.amounts {
            let balance = (self.accounts[account]?.balance ?? 0) - amount
            guard balance.magnitude <= UInt64(Millicredits.magnitudeMax) else { return false }
        }
        for (account, amount) in correcting.amounts {
            let before = (self.accounts[account]?.balance ?? 0) - (posting.amounts[account] ?? 0)
            guard (before - amount).magnitude <= UInt64(Millicredits.magnitudeMax) else { return false }
        }
        return true
    }

    private mutating func apply(_ posting: Posting) {
        for (id, amount) in posting.amounts {
            guard var account = self.accounts[id] else { continue }
            account.balance -= amount
            account.deducted += amount
            if amount != 0 { account.lines += 1 }
            if amount != 0 || !self.has(.versionOnlyWithLine) { account.version += 1 }
            self.accounts[id] = account
        }
    }
}
