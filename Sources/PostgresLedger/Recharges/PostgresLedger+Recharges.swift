import Billing
import Metering

extension PostgresLedger: RechargeLedger {
    public func rechargesDue(now: Int64, limit: Int64) async throws -> [AccountID] {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT r.account_id FROM recharge r JOIN credit_balance b USING (account_id)
                WHERE r.look_at <= $1 AND (r.state = 'asking'
                    OR (r.state IN ('idle', 'pausing') AND r.threshold IS NOT NULL AND NOT b.blocked
                        AND b.balance_millicredits - b.floor_millicredits < r.threshold
                        AND EXISTS (SELECT FROM package p WHERE p.code = r.package_code AND p.active
                            AND p.price_usd_cents <= r.price_usd_cents AND p.credits > r.threshold / 1000)))
                ORDER BY r.look_at LIMIT $2
                """, [.int(now), .int(limit)]
            ).rows.map { try $0.int(0) }
        }
    }

    public func decideRecharge(
        of account: AccountID, _ context: RechargeContext
    ) async throws -> RechargeOrder? {
        try await self.onHeardLedger(context.heard) { connection in
            guard var row = try RechargeRow.find(account, lock: .skip, on: connection) else { return nil }
            // What is sold now, at no more than what was agreed to; else nothing new is begun.
            row.machine = try Self.today(row.machine, context.dailyMaxCents, on: connection)
            // Read after the lock is there: a grant that told the machine of itself is in it.
            let sight = try Self.sight(of: account, context, on: connection)
            switch row.machine.saw(sight, now: context.now) {
            case .nothing:
                return nil
            case .wait(let until):
                try row.write(lookAt: until, on: connection)
                return nil
            case .disable:
                row.lastFailure = .outcomeUnknown
                try row.write(lookAt: 0, on: connection)
                return nil
            case .start(let attempt):
                if attempt.number != row.attempt?.number { row.lastFailure = nil }
                row.attempt = attempt
                try row.write(lookAt: 0, on: connection)
                let opened = try Self.opened(attempt.key(of: account), on: connection)
                let code = opened?.purchase.packageCode ?? row.machine.settings?.packageCode
                return RechargeOrder(
                    account: account, attempt: attempt, packageCode: code ?? "", opened: opened)
            }
        }
    }

    public func openRecharge(
        _ purchase: Purchase, of order: RechargeOrder, paymentMethod: String, _ context: RechargeContext
    ) async throws -> OpenedRecharge? {
        try await self.onHeardLedger(context.heard) { connection in
            guard var row = try RechargeRow.find(order.account, lock: .wait, on: connection) else {
                throw PostgresError.unexpectedResult("a recharge that was decided on is not there")
            }
            // Another instance was first, or this one before it died.
            if let opened = try Self.opened(order.key, on: connection) { return opened }
            row.machine = try Self.today(row.machine, context.dailyMaxCents, on: connection)
            let sight = try Self.sight(of: order.account, context, on: connection)
            guard row.machine.mayOpen(purchase, of: order, seeing: sight) else {
                try row.fail(order, .notWanted, now: context.now, on: connection)
                return nil
            }
            try PurchaseRow.insert(
                purchase, urls: nil, paymentMethod: paymentMethod, attemptKey: order.key, on: connection)
            return try Self.opened(order.key, on: connection)
        }
    }

    public func rechargeFailed(
        _ order: RechargeOrder, purchase: PurchaseID?, _ failure: RechargeFailure, now: Int64
    ) async throws {
        try await self.pool.run { connection in
            try connection.transaction { connection in
                if let purchase, failure != .outcomeUnknown {
                    guard try Self.refuse(purchase, on: connection) else { return }
                }
                guard var row = try RechargeRow.find(order.account, lock: .wait, on: connection) else {
                    return
                }
                try row.fail(order, failure, now: now, on: connection)
            }
        }
    }

    public func rechargeStatus(
        of account: AccountID, dailyMaxCents: Int64
    ) async throws -> RechargeStatus {
        try await self.pool.run { connection in
            guard let row = try RechargeRow.find(account, lock: .none, on: connection) else {
                return RechargeStatus(
                    machine: Recharge(account: account), isPackageChanged: false, lastAttempt: nil)
            }
            let today = try Self.today(row.machine, dailyMaxCents, on: connection)
            return RechargeStatus(
                machine: row.machine.with(row.machine.settings?.atMost(dailyMaxCents)),
                isPackageChanged: row.machine.settings != nil && today.settings == nil,
                lastAttempt: try Self.lastAttempt(of: row, on: connection))
        }
    }

    public func setRecharge(_ settings: RechargeSettings?, of account: AccountID) async throws {
        try await self.pool.run { connection in
            try connection.transaction { connection in
                try connection.run(
                    "INSERT INTO recharge (account_id) VALUES ($1) ON CONFLICT DO NOTHING", [.int(account)])
                guard var row = try RechargeRow.find(account, lock: .wait, on: connection) else {
                    throw PostgresError.unexpectedResult("a row of recharge that was made is not there")
                }
                if let settings { row.machine.turnOn(settings) } else { row.machine.turnOff() }
                try connection.run(
                    """
                    UPDATE recharge SET threshold = $2, package_code = $3, price_usd_cents = $4,
                        daily_limit_cents = $5 WHERE account_id = $1
                    """,
                    [
                        .int(account), .int(settings?.threshold.value), .text(settings?.packageCode),
                        .int(settings?.priceUSDCents), .int(settings?.dailyLimitCents),
                    ])
                try row.write(lookAt: 0, on: connection)
            }
        }
    }
}
