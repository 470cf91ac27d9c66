/// The guards of the ledger that a model can be built without: what each one keeps from happening. A simulator that
/// does not notice that one is missing does not test it.
public enum LedgerGuard: String, Sendable, Hashable, CaseIterable {
    /// One row per hold. Without: an outcome that comes again is charged again.
    case primaryKey
    /// One correction per hold and authority. Without: a higher outcome that comes again corrects again.
    case correctionKey
    /// The highest authority of a batch counts. Without: the first one of the batch does.
    case authorityOrder
    /// Every outcome of a batch is compared with what counts. Without: one that is not new is dropped unread.
    case everyInputCompared
    /// Balances of all accounts named are answered. Without: only of those that had something new.
    case answersAllAccounts
    /// A version moves only with a ledger line. Without: free outcomes move it.
    case versionOnlyWithLine
    /// Two different final outcomes are recorded. Without: the second one vanishes.
    case conflictsRecorded
    /// An id outside the horizon is set aside. Without: it is settled, perhaps a second time after its archiving.
    case horizon
    /// A restored ledger is of a new generation. Without: its balances look older than those it replaces.
    case newGenerationAfterRollback
}
