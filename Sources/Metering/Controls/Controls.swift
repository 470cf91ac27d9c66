/// All controls as they are at one moment. An exchange is decided by one of these when it is admitted, and by none
/// afterwards.
public struct Controls: Sendable, Hashable {
    public var charging = true
    public var purchases = true
    public var autoRecharge = false
    /// 0…100.
    public var rolloutPercentage: Int64 = 100
    /// User ids as UTF-8: two spellings that look the same are two users.
    public var allowlist: Set<[UInt8]> = []
    /// nil: all that have a price.
    public var modelAllowlist: Set<String>?
    public var anomalyMultiplier: Int64 = 5

    public init() {}

    /// What is decided about one request before anything is held.
    public enum Decision: Sendable, Hashable {
        case charged
        case waived(Waiver)
        /// The model is not on the list.
        case refused
    }

    /// - Parameters:
    ///   - model: as it was requested.
    ///   - row: the name of its row on the rate card; a fine-tuned model goes by that too.
    public func decision(for user: String, model: String, row: String? = nil) -> Decision {
        guard self.allows(model: model) || row.map({ self.allows(model: $0) }) ?? false else {
            return .refused
        }
        return self.waiver(for: user).map { .waived($0) } ?? .charged
    }

    /// Why what this user asks for costs nothing; nil: it is charged.
    public func waiver(for user: String) -> Waiver? {
        guard self.charging else { return .chargingOff }
        return self.isCharged(user) ? nil : .outsideCohort
    }

    /// Whether requests for this model are served.
    public func allows(model: String) -> Bool { self.modelAllowlist?.contains(model) ?? true }

    private func isCharged(_ user: String) -> Bool {
        guard self.rolloutPercentage < 100 else { return true }
        return self.allowlist.contains(Array(user.utf8))
            || Cohort(user: user).isInside(percentage: self.rolloutPercentage)
    }
}

/// Why an exchange is served without a charge. Bounded: value of a header and label of a metric.
public enum Waiver: String, Sendable, Hashable, CaseIterable {
    case chargingOff = "charging_off"
    case outsideCohort = "outside_cohort"
}

/// The controls in force. Read once for each exchange, so it must be cheap.
public protocol ControlSource: Sendable {
    var current: Controls { get }
}

/// Controls that nobody changes.
public struct FixedControls: ControlSource {
    public let current: Controls

    public init(_ current: Controls = Controls()) { self.current = current }
}
