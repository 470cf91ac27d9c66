import Metering

/// What the sweep needs of the hold store. Every call may be repeated.
public protocol HoldSweeping: Sendable {
    /// Accounts from a cursor on (nil: from the beginning), as they are listed now. `next` nil: that was all.
    ///
    /// Throws when the store could not be asked.
    func accounts(from cursor: String?) async throws -> (accounts: [StoredAccount], next: String?)
    /// REAP; nil: its deadline has not passed, or it is another's by now.
    func reap(_ hold: HoldID, of account: AccountID, from dead: HoldOwner) async throws -> StoredHold?
    /// RELEASE in the owner's name; true: a reaper has it.
    func release(_ hold: HoldID, of account: AccountID, owner: BootID) async throws -> Bool
    /// Forgets an account that nobody used for so long and that has nothing open; true: it is gone.
    func evict(_ account: AccountID, idleSeconds: Int64) async throws -> Bool
    /// Makes an account cold: whoever places next loads it, and all its sums are added up again. true: it was warm.
    func cool(_ account: AccountID) async throws -> Bool
    /// Those of the holds that a session of this process knows.
    func known(among holds: [HoldID]) async -> Set<HoldID>
}
