import MoneyPath
import NIOCore
import NIOSSL

/// Times and bounds of the hold store; the defaults are what DESIGN says.
public struct RedisHoldSettings: Sendable {
    /// Times and bounds of the session machine.
    public var session = HoldSessionSettings()
    /// A hold's deadline in Redis lies this far ahead; beyond it a dead owner's hold may be reaped.
    public var lease: TimeAmount = .seconds(30)
    /// How often a session looks for renewals and repeats that are due.
    public var upkeepEvery: TimeAmount = .milliseconds(250)
    /// A connection with unanswered commands that says nothing for so long is given up.
    public var stallTimeout: TimeAmount = .seconds(3)
    /// POSTED and GATE fail, to be repeated, after this.
    public var postDeadline: TimeAmount = .seconds(5)
    /// How long a session waits for the last acknowledgements when it is shut down.
    public var shutdownGrace: TimeAmount = .seconds(1)
    /// Trust for `rediss://`; nil: the system's roots.
    public var tls: TLSConfiguration?

    public init() {}
}
