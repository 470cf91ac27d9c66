/// Times and bounds of a session; the defaults are what DESIGN says.
public struct HoldSessionSettings: Sendable {
    /// A PLACE that needs only the store answers within this.
    public var placeDeadline: Span = .milliseconds(100)
    /// A PLACE that must read the ledger (cold account, short balance) answers within this.
    public var ledgerDeadline: Span = .seconds(2)
    /// The owner renews the lease of its holds this often.
    public var touchEvery: Span = .seconds(10)
    /// Exchanges that may wait for one account to be loaded; more are refused.
    public var coldWaitersMax = 1024
    /// How often one PLACE may find its account cold, and one load find another incarnation, before it gives up.
    public var coldRoundsMax = 3
    /// Time-outs or failures in a row that open the breaker.
    public var breakerFailuresMax = 20
    /// Which guards are in force; all of them, but for a simulator that shows what each is good for.
    public var guards: Set<Guard> = Set(Guard.allCases)

    public init() {}

    /// What keeps a session right under faults; each has a seed or a test that fails without it (GUARANTEES.md).
    public enum Guard: String, Sendable, Hashable, CaseIterable {
        /// K2: a grant after its deadline is given back.
        case lateGrantIsReleased
        /// K3: the present state is issued again after a reconnection.
        case reissue
        /// K3, R2: with a raised fence.
        case raiseFence
        /// K4: a RELEASE that finds nothing after an unknown PLACE is recorded as VOID.
        case voidAfterUnknownPlace
        /// K6: a capture that a REASSERT may have overtaken is compared with the ledger.
        case verifyReassertedCapture
        /// G4: short is never final.
        case shortIsNeverFinal
        /// E1, E3: an account of another epoch is loaded again.
        case epoch
        /// E2: live holds are put back when the store lost its data.
        case reassertOnLoss
        /// R6: leases are renewed.
        case touch
    }
}
