import Metering

public enum AccountStatus: String, Sendable, Hashable, CaseIterable { case active, suspended, closed }

/// An account as the operator sees it.
public struct AdministeredAccount: Sendable, Hashable {
    public var account: AccountID
    public var userID: String
    public var status: AccountStatus
    public var balance: Millicredits
    public var floor: Millicredits
    public var isBlocked: Bool
    /// What differs from the configured limits.
    public var limits: RequestLimitOverrides
    /// nil: as configured.
    public var holds: HoldPolicy?
    /// Milliseconds since 1970.
    public var createdAt: Int64

    public init(
        account: AccountID, userID: String, status: AccountStatus, balance: Millicredits, floor: Millicredits,
        isBlocked: Bool, limits: RequestLimitOverrides, holds: HoldPolicy?, createdAt: Int64
    ) {
        self.account = account
        self.userID = userID
        self.status = status
        self.balance = balance
        self.floor = floor
        self.isBlocked = isBlocked
        self.limits = limits
        self.holds = holds
        self.createdAt = createdAt
    }
}

/// Which accounts are listed.
public struct AccountQuery: Sendable, Hashable {
    /// What the user id begins with.
    public var prefix: String
    /// What one of its keys begins with, revoked ones too; nil: any.
    public var keyPrefix: String?
    /// nil: any.
    public var account: AccountID?
    /// The last one of the page before.
    public var after: AccountID
    public var limit: Int64

    public init(
        prefix: String = "", keyPrefix: String? = nil, account: AccountID? = nil, after: AccountID = 0,
        limit: Int64
    ) {
        self.prefix = prefix
        self.keyPrefix = keyPrefix
        self.account = account
        self.after = after
        self.limit = limit
    }
}

/// Why an account is suspended, or why it is not.
public struct AccountStanding: Sendable, Hashable {
    public struct Dispute: Sendable, Hashable {
        public var purchase: PurchaseID
        public var dispute: String
        /// `open` or `lost`.
        public var state: String
        public var since: Int64
        public var isLifted: Bool

        public init(purchase: PurchaseID, dispute: String, state: String, since: Int64, isLifted: Bool) {
            self.purchase = purchase
            self.dispute = dispute
            self.state = state
            self.since = since
            self.isLifted = isLifted
        }
    }

    /// Who set the status last, why, and when.
    public var actor: String?
    public var reason: String?
    public var changedAt: Int64?
    public var disputes: [Dispute]

    public init(actor: String?, reason: String?, changedAt: Int64?, disputes: [Dispute]) {
        self.actor = actor
        self.reason = reason
        self.changedAt = changedAt
        self.disputes = disputes
    }
}

/// A key without its secret.
public struct AdministeredKey: Sendable, Hashable {
    /// So much of a secret is kept to tell keys apart, and too little to guess one.
    public static let prefixBytes = 9

    public var keyID: Int64
    /// nil: a service key.
    public var account: AccountID?
    public var label: String
    public var prefix: String
    public var createdAt: Int64
    public var revokedAt: Int64?
    public var limits: RequestLimitOverrides

    public init(
        keyID: Int64, account: AccountID?, label: String, prefix: String, createdAt: Int64, revokedAt: Int64?,
        limits: RequestLimitOverrides
    ) {
        self.keyID = keyID
        self.account = account
        self.label = label
        self.prefix = prefix
        self.createdAt = createdAt
        self.revokedAt = revokedAt
        self.limits = limits
    }
}

/// Why a change was not made.
public enum AdministrationRefusal: Error, Sendable, Hashable {
    case noSuchAccount
    case noSuchKey
    case invalidUserID
    case accountClosed
    /// The key was used for another change.
    case idempotencyConflict
    /// The balance would leave its range.
    case balanceOutOfRange
}

/// Accounts and keys for the operator. Whatever is changed leaves one entry of the audit log; what is so already is
/// left as it is, without one.
///
/// Every method throws `AdministrationRefusal`, or what says that the ledger cannot be reached.
public protocol AccountAdministering: Sendable {
    /// By account number.
    func accounts(_ query: AccountQuery) async throws -> [AdministeredAccount]
    /// nil: there is none.
    func administered(_ account: AccountID) async throws -> AdministeredAccount?
    func accountStanding(_ account: AccountID) async throws -> AccountStanding

    func create(userID: String, note: ChangeNote) async throws -> AdministeredAccount
    func set(_ status: AccountStatus, of account: AccountID, note: ChangeNote) async throws
    /// Once per key: the balance right after it.
    func adjust(
        _ account: AccountID, by amount: Millicredits, key: String, note: ChangeNote
    ) async throws -> (balance: Millicredits, isRepeated: Bool)
    func set(_ limits: RequestLimitOverrides, of account: AccountID, note: ChangeNote) async throws
    func set(_ holds: HoldPolicy?, of account: AccountID, note: ChangeNote) async throws

    /// Newest first.
    func keys(of account: AccountID?, before: Int64?, limit: Int64) async throws -> [AdministeredKey]
    /// nil: there is none of this number.
    func key(_ keyID: Int64) async throws -> AdministeredKey?
    /// - Parameter account: nil: a service key of the name `label`.
    func createKey(
        for account: AccountID?, label: String, note: ChangeNote
    ) async throws -> (key: AdministeredKey, secret: String)
    func revoke(_ keyID: Int64, note: ChangeNote) async throws
}
