import Metering

/// One control as the ledger has it, beside what the environment says.
public struct FlagState: Sendable, Hashable {
    public enum Source: String, Sendable, Hashable, CaseIterable { case environment, flag }

    public var name: ControlName
    /// In force, in its one spelling.
    public var value: String
    /// What the environment of whoever asks says: the start value, in force while nobody has set another.
    public var environmentValue: String
    public var source: Source
    /// Of the newest change; nil: nobody ever changed it.
    public var change: FlagChange?
    /// Counts the changes; 0: nobody ever changed it.
    public var version: Int64

    public init(
        name: ControlName, value: String, environmentValue: String, source: Source, change: FlagChange?,
        version: Int64
    ) {
        self.name = name
        self.value = value
        self.environmentValue = environmentValue
        self.source = source
        self.change = change
        self.version = version
    }
}

/// Who changed a control last.
public struct FlagChange: Sendable, Hashable {
    public var actor: String
    public var reason: String
    /// Milliseconds since 1970.
    public var at: Int64

    public init(actor: String, reason: String, at: Int64) {
        self.actor = actor
        self.reason = reason
        self.at = at
    }
}

/// What became of a change. Without one (it was so already) both are the same.
public struct FlagReceipt: Sendable, Hashable {
    public var before: FlagState
    public var after: FlagState

    public init(before: FlagState, after: FlagState) {
        self.before = before
        self.after = after
    }
}

public enum FlagRefusal: Error, Sendable, Hashable {
    /// The message names the control.
    case badValue(ControlProblem)
    case invalidReason
    /// Somebody changed it meanwhile: this is its version now.
    case changedMeanwhile(version: Int64)
    case ledgerUnavailable
}

/// Changes controls at run time. Each change reaches every instance within a second, and is in the audit log.
public protocol FlagDesk: Sendable {
    /// All of them, in the order of `ControlName`.
    func flags() async throws(FlagRefusal) -> [FlagState]

    /// - Parameter expecting: the version that the caller has seen; nil: whatever it is.
    func setFlag(
        _ name: ControlName, to value: String, expecting: Int64?, _ note: ChangeNote
    ) async throws(FlagRefusal) -> FlagReceipt

    /// From here on the environment's value is in force again.
    func clearFlag(
        _ name: ControlName, expecting: Int64?, _ note: ChangeNote
    ) async throws(FlagRefusal) -> FlagReceipt
}
