import Crypto

/// Keyed hash of an API key: HMAC-SHA-256 under `KEY_PEPPER`. The secret itself is stored nowhere.
public struct KeyDigest: Sendable, Hashable {
    public let words: (UInt64, UInt64, UInt64, UInt64)

    public init(_ words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

    /// nil unless `bytes` has exactly 32 of them.
    public init?(bytes: some Sequence<UInt8>) {
        var words: [UInt64] = [0, 0, 0, 0]
        var count = 0
        for byte in bytes {
            guard count < 32 else { return nil }
            words[count / 8] = words[count / 8] << 8 | UInt64(byte)
            count += 1
        }
        guard count == 32 else { return nil }
        self.words = (words[0], words[1], words[2], words[3])
    }

    /// The 32 bytes, big-endian, as `api_key.digest` stores them.
    public var bytes: [UInt8] {
        [self.words.0, self.words.1, self.words.2, self.words.3].flatMap { word in
            (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) }
        }
    }

    /// Compares all 256 bits whatever the first difference (Hashable's `==` is for dictionaries of digests
    /// only).
    public static func == (left: KeyDigest, right: KeyDigest) -> Bool {
        let difference =
            (left.words.0 ^ right.words.0) | (left.words.1 ^ right.words.1)
            | (left.words.2 ^ right.words.2) | (left.words.3 ^ right.words.3)
        return difference == 0
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(self.words.0) }
}

/// Hashes API keys under one pepper. Several peppers are valid while rotating: the first signs, all verify.
public struct KeyHasher: Sendable {
    let peppers: [SymmetricKey]

    /// - Precondition: configuration guarantees at least one pepper of ≥ 32 bytes.
    public init(peppers: [[UInt8]]) {
        precondition(!peppers.isEmpty, "configuration guarantees KEY_PEPPER")
        self.peppers = peppers.map { SymmetricKey(data: $0) }
    }

    /// The digest to store for a new key.
    public func digest(_ key: UnsafeRawBufferPointer) -> KeyDigest { Self.digest(key, self.peppers[0]) }

    /// The digests under which a presented key may be stored, newest pepper first.
    public func candidates(_ key: UnsafeRawBufferPointer) -> [KeyDigest] {
        self.peppers.map { Self.digest(key, $0) }
    }

    private static func digest(_ key: UnsafeRawBufferPointer, _ pepper: SymmetricKey) -> KeyDigest {
        let code = HMAC<SHA256>.authenticationCode(for: key, using: pepper)
        return code.withUnsafeBytes { bytes in
            func word(_ index: Int) -> UInt64 {
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
            }
            return KeyDigest((word(0), word(1), word(2), word(3)))
        }
    }
}

/// One API key as the data plane needs it.
public struct KeyRecord: Sendable, Hashable {
    public enum Holder: Sendable, Hashable {
        /// `tg_…` secret of one account.
        case account(AccountID)
        /// A service key bills whichever user the request names.
        case service
    }

    public var keyID: Int64
    public var holder: Holder
    /// Name of the key's owner; for logs and for `not_your_account`. The user id of an account key.
    public var label: String
    /// What differs from the configured limits of a key.
    public var limits: RequestLimitOverrides

    public init(keyID: Int64, holder: Holder, label: String, limits: RequestLimitOverrides = .none) {
        self.keyID = keyID
        self.holder = holder
        self.label = label
        self.limits = limits
    }
}

/// An account as the data plane needs it.
public struct AccountRecord: Sendable, Hashable {
    public var account: AccountID
    public var userID: String
    public var suspended: Bool
    /// What differs from the configured limits of an account.
    public var limits: RequestLimitOverrides
    /// nil: as configured.
    public var holds: HoldPolicy?

    public init(
        account: AccountID, userID: String, suspended: Bool, limits: RequestLimitOverrides = .none,
        holds: HoldPolicy? = nil
    ) {
        self.account = account
        self.userID = userID
        self.suspended = suspended
        self.limits = limits
        self.holds = holds
    }
}

public enum DirectoryFailure: Error, Sendable, Hashable {
    /// Neither the snapshot nor the database could answer: 503, never 401.
    case unreachable
}

/// Keys and accounts as the data plane sees them: an in-memory snapshot, the database behind it.
public protocol AccountDirectory: Sendable {
    /// Snapshot only; nil means "ask `resolve`", not "unknown".
    func cachedKey(_ digest: KeyDigest) -> KeyRecord?
    /// Snapshot only.
    func cachedAccount(_ account: AccountID) -> AccountRecord?
    func cachedAccount(userID: String) -> AccountRecord?
    /// Asks the database (rate-limited per digest, so a guesser cannot load it). nil: no such key, or
    /// revoked. `reply` is called exactly once, on any thread.
    func resolveKey(
        _ digest: KeyDigest, reply: @escaping @Sendable (Result<KeyRecord?, DirectoryFailure>) -> Void)
    func resolveAccount(
        _ account: AccountID, reply: @escaping @Sendable (Result<AccountRecord?, DirectoryFailure>) -> Void)
    /// Finds the account of a user; nil: there is none, and none is made.
    func findAccount(
        userID: String, reply: @escaping @Sendable (Result<AccountRecord?, DirectoryFailure>) -> Void)
    /// Finds the account of a user, creating it with a zero balance on first use.
    func findOrCreateAccount(
        userID: String, reply: @escaping @Sendable (Result<AccountRecord, DirectoryFailure>) -> Void)
}

/// The active prices, as the data plane sees them; cheap to call once per exchange.
public protocol PriceSource: Sendable {
    var current: PriceTable { get }
}
