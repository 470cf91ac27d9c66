import Logging
import Metering
import MoneyPath
import Synchronization

/// A change of money, floor or block that the ledger committed (rule G2).
public struct AccountChange: Sendable, Hashable {
    public var balance: LedgerBalance
    public var gate: AccountGate

    public init(balance: LedgerBalance, gate: AccountGate) {
        self.balance = balance
        self.gate = gate
    }
}

/// Hands the ledger's changes to the hold store, each until it is acknowledged: a balance that went down, or a block,
/// has nobody else who would tell it. Of an account only the newest change is kept; its balance and its gate go by
/// themselves.
public final class AccountRefresher: Sendable {
    private let holds: any HoldPosting
    private let logger: Logger
    private let changes = Mutex(UntoldChanges())
    private let wakeStream: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation
    private static let pauseFirst: Span = .milliseconds(50)
    private static let pauseMax: Span = .seconds(1)

    public init(holds: any HoldPosting, logger: Logger) {
        self.holds = holds
        self.logger = logger
        (self.wakeStream, self.wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Runs until the feed ended and all was told, or the task is cancelled. To be called once.
    public func run(_ changes: some AsyncSequence<AccountChange, Never> & Sendable) async {
        await withTaskGroup { group in
            group.addTask {
                for await change in changes {
                    self.changes.withLock { $0.add(balance: change.balance, gate: change.gate) }
                    self.wake.yield()
                }
                self.wake.finish()
            }
            group.addTask { await self.tellAll() }
        }
    }

    private func tellAll() async {
        for await _ in self.wakeStream { await self.tellUntilNothingWaits() }
        await self.tellUntilNothingWaits()
    }

    private func tellUntilNothingWaits() async {
        var pause = Self.pauseFirst
        while !Task.isCancelled, self.changes.withLock({ !$0.isEmpty }) {
            let balances = await self.tellBalances()
            let gates = await self.tellGates()
            if balances && gates {
                pause = Self.pauseFirst
            } else {
                try? await Task.sleep(nanoseconds: UInt64(pause.nanoseconds))
                pause = min(pause * 2, Self.pauseMax)
            }
        }
    }

    /// false: some have to be told again.
    private func tellBalances() async -> Bool {
        let balances = self.changes.withLock { $0.takeBalances() }
        guard !balances.isEmpty else { return true }
        let left = await self.untold(balances.map(\.account)) {
            try await self.holds.posted(balances.map { PostedAccount(balance: $0, settled: []) })
        }
        self.changes.withLock { $0.putBack(balances.filter { left.contains($0.account) }) }
        return left.isEmpty
    }

    private func tellGates() async -> Bool {
        let gates = self.changes.withLock { $0.takeGates() }
        guard !gates.isEmpty else { return true }
        let left = await self.untold(gates.map(\.account)) { try await self.holds.gateChanged(gates) }
        self.changes.withLock { $0.putBack(gates.filter { left.contains($0.account) }) }
        return left.isEmpty
    }

    /// The accounts of which the store is not known to have heard.
    private func untold(_ accounts: [AccountID], _ tell: () async throws -> Void) async -> Set<AccountID> {
        do {
            try await tell()
            return []
        } catch {
            let left = (error as? PostingRefused)?.accounts ?? Set(accounts)
            self.logger.warning(
                "account changes not handed to the hold store, will be told again",
                metadata: ["accounts": "\(left.count)", "error": "\(error)"])
            return left
        }
    }
}
