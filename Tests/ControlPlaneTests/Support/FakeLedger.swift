import Metering
import Synchronization

@testable import ControlPlane

/// Keys, accounts and balances in memory. Accounts 1 (`ada`) and 2 (`bob`) exist, each with a key.
final class FakeLedger: AccountDirectory, BillingReading, HeldReading {
    struct Down: Error, CustomStringConvertible {
        var description: String { "password=hunter2 host=10.0.0.7" }
    }

    struct State {
        var users = ["ada": AccountID(1), "bob": AccountID(2)]
        var balances: [AccountID: Int64] = [1: 3_720, 2: 9_990_000]
        var floors: [AccountID: Int64] = [:]
        var held: [AccountID: Int64]? = [:]
        var ledgerLines: [AccountID: [LedgerLine]] = [:]
        var usageLines: [AccountID: [UsageLine]] = [:]
        var suspended: Set<AccountID> = []
        var isDown = false
        /// Nothing is in the snapshot: every look-up goes to the database.
        var isCold = false
    }

    static let adaKey = "tg_ada_0123456789abcdef0123456789abcdef"
    static let bobKey = "tg_bob_0123456789abcdef0123456789abcdef"
    /// Of a user who is not in `users` from the start.
    static let joseKey = "tg_jos_0123456789abcdef0123456789abcdef"
    static let serviceKey = "tg_svc_0123456789abcdef0123456789abcdef"

    let state = Mutex(State())
    private let keys: [KeyDigest: KeyRecord]

    init(hasher: KeyHasher) {
        func digest(_ key: String) -> KeyDigest {
            Array(key.utf8).withUnsafeBytes { hasher.digest($0) }
        }
        self.keys = [
            digest(Self.adaKey): KeyRecord(keyID: 1, holder: .account(1), label: "ada"),
            digest(Self.bobKey): KeyRecord(keyID: 2, holder: .account(2), label: "bob"),
            digest(Self.joseKey): KeyRecord(keyID: 4, holder: .account(3), label: "jos\u{e9}"),
            digest(Self.serviceKey): KeyRecord(keyID: 3, holder: .service, label: "shop"),
        ]
    }

    // MARK: AccountDirectory

    func cachedKey(_ digest: KeyDigest) -> KeyRecord? {
        self.state.withLock { $0.isCold } ? nil : self.keys[digest]
    }

    func cachedAccount(_ account: AccountID) -> AccountRecord? {
        self.state.withLock { $0.isCold ? nil : Self.record($0, account) }
    }

    func cachedAccount(userID: String) -> AccountRecord? {
        self.state.withLock { $0.isCold ? nil : $0.users[userID] }.map {
            AccountRecord(account: $0, userID: userID, suspended: false)
        }
    }

    func resolveKey(
        _ digest: KeyDigest, reply: @escaping @Sendable (Result<KeyRecord?, DirectoryFailure>) -> Void
    ) {
        reply(self.state.withLock { $0.isDown } ? .failure(.unreachable) : .success(self.keys[digest]))
    }

    func resolveAccount(
        _ account: AccountID, reply: @escaping @Sendable (Result<AccountRecord?, DirectoryFailure>) -> Void
    ) {
        reply(self.state.withLock { $0.isDown ? .failure(.unreachable) : .success(Self.record($0, account)) })
    }

    func findAccount(
        userID: String, reply: @escaping @Sendable (Result<AccountRecord?, DirectoryFailure>) -> Void
    ) {
        reply(
            self.state.withLock { state in
                guard !state.isDown else { return .failure(.unreachable) }
                return .success(
                    state.users[userID].map { AccountRecord(account: $0, userID: userID, suspended: false) })
            })
    }

    func findOrCreateAccount(
        userID: String, reply: @escaping @Sendable (Result<AccountRecord, DirectoryFailure>) -> Void
    ) {
        let result = self.state.withLock { state -> Result<AccountRecord, DirectoryFailure> in
            guard !state.isDown else { return .failure(.unreachable) }
            let account = state.users[userID] ?? AccountID(state.users.count + 1)
            state.users[userID] = account
            return .success(AccountRecord(account: account, userID: userID, suspended: false))
        }
        reply(result)
    }

    private static func record(_ state: State, _ account: AccountID) -> AccountRecord? {
        state.users.first { $0.value == account }.map {
            AccountRecord(account: account, userID: $0.key, suspended: state.suspended.contains(account))
        }
    }

    // MARK: BillingReading, HeldReading

    func summary(of account: AccountID) async throws -> AccountSummary? {
        try self.state.withLock { state in
            guard !state.isDown else { throw Down() }
            guard let user = state.users.first(where: { $0.value == account })?.key else { return nil }
            return AccountSummary(
                userID: user,
                balance: LedgerBalance(
                    account: account, generation: 1, version: 1,
                    balance: Millicredits(state.balances[account] ?? 0)),
                gate: AccountGate(
                    account: account, version: 1, floor: Millicredits(state.floors[account] ?? 0),
                    blocked: false),
                recentLedger: state.ledgerLines[account] ?? [], recentUsage: state.usageLines[account] ?? [])
        }
    }

    func usage(_ query: UsageQuery) async throws -> [UsageLine] {
        try self.state.withLock { state in
            guard !state.isDown else { throw Down() }
            let lines = (state.usageLines[query.account] ?? []).filter { line in
                (query.model.map { $0 == line.model } ?? true)
                    && (query.from.map { line.occurredAt >= $0 } ?? true)
                    && (query.to.map { line.occurredAt < $0 } ?? true)
                    && (query.before.map { line.hold < $0 } ?? true)
            }
            return Array(lines.sorted { $0.hold > $1.hold }.prefix(Int(query.limit)))
        }
    }

    func packages() async throws -> [CreditPackage] {
        if self.state.withLock({ $0.isDown }) { throw Down() }
        return [
            CreditPackage(
                code: "starter", version: 1, name: "Starter", priceUSDCents: 999, credits: 9_990,
                bonusCredits: 0),
            CreditPackage(
                code: "professional", version: 1, name: "Professional", priceUSDCents: 4_999, credits: 52_490,
                bonusCredits: 2_500),
        ]
    }

    func held(of account: AccountID) async -> Millicredits? {
        self.state.withLock { $0.held.map { Millicredits($0[account] ?? 0) } }
    }
}

/// The rates of CONTRACT §7's `scholarlink` card.
struct FixedPrices: PriceSource {
    var current: PriceTable

    init(_ mode: RoundingMode = .exact) {
        let rates: [(String, String, String)] = [
            ("gpt-4o", "20", "80"), ("gpt-4o-mini", "2.4", "9.6"), ("gpt-5", "5", "40"),
            ("gpt-5-nano", "0.2", "1.6"),
        ]
        self.current = PriceTable(
            version: "scholarlink@2025-01-19", mode: mode, rows: rates.map { Self.row($0.0, $0.1, $0.2) })
    }

    private static func row(_ model: String, _ input: String, _ output: String) -> ModelPrice {
        let (input, output) = (Self.perToken(input), Self.perToken(output))
        let rates = TokenRates(input: input, cachedInput: input, cacheWrite: input, output: output)
        return ModelPrice(
            priceID: "scholarlink@2025-01-19/\(model)", model: model, endpoints: [.chat], context: 128_000,
            outputMax: 16_384, tiers: [.default: TierPrice(cost: rates, price: rates)], longContext: nil,
            onDisconnect: nil)
    }

    /// Credits per 1K tokens to atto-USD per token.
    private static func perToken(_ credits: String) -> Int128 {
        guard let rate = try? ExactDecimal(parsing: credits).scaledToInteger(powerOfTen: 12) else {
            preconditionFailure("the rates above are decimals")
        }
        return rate
    }
}
