import NIOCore
import NIOSSL

/// Times and bounds of the hold store; the defaults are what DESIGN says.
public struct RedisHoldSettings: Sendable {
    /// A PLACE that needs only Redis answers within this.
    public var placeDeadline: TimeAmount = .milliseconds(100)
    /// A PLACE that must read the ledger (cold account, short balance) answers within this.
    public var ledgerDeadline: TimeAmount = .seconds(2)
    /// A hold's deadline in Redis lies this far ahead; beyond it a dead owner's hold may be reaped.
    public var lease: TimeAmount = .seconds(30)
    /// The owner renews it this often.
    public var touchEvery: TimeAmount = .seconds(10)
    /// How often a session looks for renewals and repeats that are due.
    public var upkeepEvery: TimeAmount = .milliseconds(250)
    /// A connection with unanswered commands that says nothing for so long is given up.
    public var stallTimeout: TimeAmount = .seconds(3)
    /// POSTED and GATE fail, to be repeated, after this.
    public var postDeadline: TimeAmount = .seconds(5)
    /// How long a session waits for the last acknowledgements when it is shut down.
    public var shutdownGrace: TimeAmount = .seconds(1)
    /// Exchanges that may wait for one account to be loaded; more are refused.
    public var coldWaitersMax = 1024
    /// How often one PLACE may find its account cold, and one load find another incarnation, before it gives
    /// up.
    public var coldRoundsMax = 3
    /// Time-outs or failures in a row that open the breaker.
    public var breakerFailuresMax = 20
    /// Trust for `rediss://`; nil: the system's roots.
    public var tls: TLSConfiguration?

    public init() {}
}
