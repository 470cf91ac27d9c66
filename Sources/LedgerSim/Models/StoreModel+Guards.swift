/// One line of the scripts that keeps money or admission right. `StoreGuardTests` takes each out of the Lua on a
/// real Redis and shows what it is good for.
///
/// Three conditions are no guards: an account without a balance has no epoch either, so PLACE's look at `p` adds
/// nothing to its look at `e`; EVICT's look at H and U is a shortcut of its look at the entries; `spend` skips zero only
/// to save time.
public enum StoreGuard: String, Sendable, Hashable, CaseIterable {
    // MARK: Every script

    /// R2: a command of an older connection has no effect.
    case fence
    /// R2: a command that says so shuts out everything older.
    case fenceIsRaised
    /// R10: `-0` is no number, and would stop the script half-way.
    case zeroAmounts
    /// R7: an older (generation, version) does not overwrite a newer balance.
    case versionCompare
    /// A12: the windows do not go back with the clock.
    case minuteNeverGoesBack
    case dayNeverGoesBack

    // MARK: PLACE

    case placeKnownHold
    case placeKnownCapture
    /// E3: an account of another epoch is cold.
    case epochStamp
    case placeNeedsOpenGate
    case placeCaps
    case placeTakesHalf
    case placeNeedsLeast
    case placeNeedsFunds
    /// What is waived is served whatever the balance, and leaves it as it is.
    case placeWaivesFunds
    case placeCountsWaived
    case reassertCountsWaived
    case waivedIsUncounted
    case initRecountsWaived
    /// Caps count what a waived exchange would have been charged: when it is captured, when POSTED comes first, and when
    /// it is captured and not posted while its account is loaded.
    case captureSpendsShadow
    case postedSpendsShadow
    case initAddsShadow

    // MARK: Request limits

    case placeLimits
    /// A grant counts.
    case placeTakesOfLimits
    case limitRefusesBeyond
    /// To wait would be of no use.
    case limitKnowsWhatNeverFits
    case limitDrains
    case limitNeverGoesBack
    /// A limit that was lowered is full, and not more than that.
    case limitShrinksWhatIsUsed
    case limitOfKeyStreams
    case limitOfAccountStreams
    case limitKnowsWhoseStream
    case placeCountsStream
    case captureEndsStream
    case releaseEndsStream
    case postedEndsStream
    case reassertCountsStream
    /// The process of a stream whose hold a reaper has is dead.
    case reapEndsStream
    case initRecountsStreams
    /// An account whose keys change does not grow for ever.
    case limitForgetsDrained
    /// To look for them takes time, and nobody else is served meanwhile.
    case limitForgetsSeldom
    case captureCorrectsTokens
    case releaseFreesTokens

    // MARK: CAPTURE, RELEASE

    case captureKnownCapture
    /// A1: POSTED was faster.
    case captureNeedsHold
    case releaseNeedsOwner

    // MARK: EXTEND, TOUCH

    case extendNeedsHold
    case extendNeedsOwner
    case touchKeepsProgress
    case extendAbsolute
    case extendOnlyRaises
    case extendNeedsOpenGate
    case extendNeedsBalance
    case extendCaps
    case extendNeedsFunds

    // MARK: REASSERT

    case reassertKnowsHold
    case reassertKnowsCapture

    // MARK: POSTED, GATE

    /// A1: CAPTURE may never have come.
    case postedDropsHold
    /// A12: a hold that was never captured is spent here.
    case postedSpends
    /// C6: a reaper's estimate leaves the owner's FINAL.
    case postedComparesAmount
    /// C6: also an estimate of the same amount.
    case postedComparesAuthority
    /// A7: POSTED never makes an account.
    case postedNeedsHash
    /// B8: POSTED of a new generation comes before INIT, and the gate went back, too.
    case postedForgetsGate
    case gateNeedsHash
    case gateComparesVersion

    // MARK: LOAD, INIT

    case listCreatesNothing
    case loadKeepsIncarnation
    /// A7: a late INIT belongs to a hash that is gone.
    case initChecksIncarnation
    /// A6: what the ledger has settled goes in the step in which its balance comes.
    case initDropsHolds
    case initDropsCaptures
    case initComparesAmount
    case initComparesAuthority
    case initRecomputes
    case initAddsCaptured
    case initComparesVersion
    case initTakesSameVersion
    case initKeepsLargerSpend
    case initClearsMinutes
    case initComparesGate
    /// B8: the gate's version went back with the ledger.
    case initRestoresGate

    // MARK: REAP, EVICT

    case reapNeedsHold
    case reapNeedsOwner
    case reapNeedsDeadline
    /// C2: REAP makes the reaper the owner in the same step.
    case reapTakesOver
    case evictNeedsIdle
    case evictNeedsNothingOpen
    case evictKeepsFences
}
