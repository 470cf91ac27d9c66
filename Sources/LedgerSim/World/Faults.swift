/// Everything bad that can happen here. Each class has to be reached often enough to mean something.
public enum Fault: String, Sendable, Hashable, CaseIterable {
    case connectionLost, zombieCommand, commandDelayed, replyLost
    case storeFlushed, storeRestarted, storeRolledBack, storeFailedOver, storeSilent, storeReplicaAttached
    case ledgerDown, commitUnknown, ledgerConflict, ledgerRolledBack
    case killed, killedWithItsDisk, powerLost, paused, pausedBeyondLease
    case diskFull, syncFailed, tornTail
    case upstreamCut, upstreamError, upstreamRefused, upstreamTimeout
    case usageMissing, usageMalformed, usageAboveHold
    case clientGone, clientGoneWhilePlacing
    case ledgerCutOff, clockLeapt
    case extended, extendDenied, extendUnknown, capRefused
    case purchase, purchaseRefreshLost, adjustment, suspension, eviction
    case flagChanged, waived

    /// Concerns every exchange, so each story tells it.
    var isOfTheWorld: Bool {
        switch self {
        case .storeFlushed, .storeRestarted, .storeRolledBack, .storeFailedOver, .storeSilent,
            .storeReplicaAttached, .ledgerDown,
            .ledgerCutOff, .clockLeapt, .ledgerRolledBack, .killed, .killedWithItsDisk, .powerLost, .paused,
            .pausedBeyondLease:
            true
        default: false
        }
    }
}

/// Guards outside of the machines' own, store's and ledger's.
public enum SimGuard: String, Sendable, Hashable, CaseIterable {
    /// The outcome is in the journal before the client has the end of its reply.
    case journalBeforeLastByte
    /// OPEN before the request goes upstream (J8).
    case openBeforeUpstream
    /// ACK only after POSTED was acknowledged (J5).
    case acknowledgeAfterPosted
    /// A boot's journal is recovered when it starts again (J8).
    case recovery
    /// Estimates of our own boots without OPEN are voided (F8).
    case voidUnopened
    /// Everything is posted again to a new ledger generation (J6).
    case replayGeneration
    /// A sweep reaps what the dead left (F2).
    case sweep
}
