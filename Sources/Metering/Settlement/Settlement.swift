/// The one outcome that ends a hold: what becomes a row of `usage_events`. Decided once; never computed
/// again.
public struct Settlement: Sendable, Hashable {
    public enum Kind: Int16, Sendable, Hashable, CaseIterable {
        /// Usage is known or estimated by the owner.
        case final = 1
        /// Proved free: amount 0.
        case void = 2
        /// The owner died; settled from what it left behind.
        case orphan = 3
        /// Served while charging was off: amount 0, `shadow` says what it would have been.
        case waived = 4

        public var name: String {
            switch self {
            case .final: "final"
            case .void: "void"
            case .orphan: "orphan"
            case .waived: "waived"
            }
        }
    }

    /// Who says so; a higher authority corrects a lower one, once (DESIGN §4).
    public enum Authority: Int16, Sendable, Hashable, CaseIterable {
        case reaper = 0, recovery = 1, owner = 2
    }

    public var account: AccountID
    public var hold: HoldID
    public var owner: BootID
    public var kind: Kind
    public var authority: Authority
    public var endpoint: Endpoint
    public var modelRequested: String
    /// As the response named it; nil when it named none.
    public var modelServed: String?
    /// As the response named it; nil when it named none.
    public var servedTier: String?
    public var priceID: String
    public var usage: Usage
    public var charge: Charge
    /// What would have been charged; differs from `charge.amount` only for `.waived`.
    public var shadow: Millicredits
    /// nil: the charge rests on reported usage.
    public var estimatedBecause: EstimateReason?
    /// `x-request-id` of the upstream response.
    public var upstreamRequestID: String?
    /// When the exchange was admitted, milliseconds since 1970.
    public var occurredAtMilliseconds: Int64
    /// Upstream keeps the response: whose it is goes to the ledger with this.
    public var stored: StoredReply?

    /// What caps count of it: a waived exchange costs its user nothing, but is bounded like any other.
    public var counted: Millicredits { self.kind == .waived ? self.shadow : self.charge.amount }

    public init(
        account: AccountID, hold: HoldID, owner: BootID, kind: Kind, authority: Authority, endpoint: Endpoint,
        modelRequested: String, modelServed: String? = nil, servedTier: String? = nil, priceID: String,
        usage: Usage, charge: Charge, shadow: Millicredits? = nil, estimatedBecause: EstimateReason? = nil,
        upstreamRequestID: String? = nil, occurredAtMilliseconds: Int64, stored: StoredReply? = nil
    ) {
        precondition(kind != .void || charge == .zero, "a VOID is proved free; HoldMachine decides it so")
        precondition(kind != .waived || charge.amount == .zero, "who waives keeps the amount as `shadow`")
        precondition(charge.amount >= .zero, "charges come from ModelPrice.charge, which is never negative")
        self.account = account
        self.hold = hold
        self.owner = owner
        self.kind = kind
        self.authority = authority
        self.endpoint = endpoint
        self.modelRequested = modelRequested
        self.modelServed = modelServed
        self.servedTier = servedTier
        self.priceID = priceID
        self.usage = usage
        self.charge = charge
        self.shadow = shadow ?? charge.amount
        self.estimatedBecause = estimatedBecause
        self.upstreamRequestID = upstreamRequestID
        self.occurredAtMilliseconds = occurredAtMilliseconds
        self.stored = stored
    }
}

/// Why a charge is an estimate. Bounded: label of `usage_estimated_total`.
public enum EstimateReason: String, Sendable, Hashable, CaseIterable {
    case clientGone = "client_gone"
    case upstreamCut = "upstream_cut"
    case upstreamTimeout = "upstream_timeout"
    case usageMissing = "usage_missing"
    case usageMalformed = "usage_malformed"
    case usageInconsistent = "usage_inconsistent"
    case usageImpossible = "usage_impossible"
    case usageUnpriced = "usage_unpriced"
    case proxyDied = "proxy_died"
    case creditsEnded = "credits_ended"

    public init(_ distrust: UsageDistrust) {
        switch distrust {
        case .malformed: self = .usageMalformed
        case .inconsistent: self = .usageInconsistent
        case .impossible: self = .usageImpossible
        case .unpriced: self = .usageUnpriced
        }
    }
}
