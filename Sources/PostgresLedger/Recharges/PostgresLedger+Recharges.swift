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
                        AND b.balance_millicredits - b.floor_millicredits < r.threshold))
                ORDER BY r.look_at LIMIT $2
                """, [.int(now), .int(limit)]
            ).rows.map { try $0.int(0) }
        }
    }

    public func decideRecharge(of account: AccountID, now: Int64) async throws -> RechargeOrder? {
        try await self.pool.run { connection in
            try connection.transaction { connection in
                guard var row = try RechargeRow.find(account, lock: .skip, on: connection) else { return nil }
                // What is sold now, at no more than what was agreed to; else nothing new is begun.
                row.machine = try Self.withTodaysPrice(row.machine, on: connection)
                // Read after the lock is there: a grant that told the machine of itself is in it.
                let action = row.machine.saw(try Self.sight(of: account, on: connection), now: now)
                switch action {
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
    }

    public func openRecharge(
        _ purchase: Purchase, key: String, paymentMethod: String
    ) async throws -> OpenedRecharge {
        try await self.pool.run { connection in
            do {
                try connection.transaction { connection in
                    try PurchaseRow.insert(
                        purchase, urls: nil, paymentMethod: paymentMethod, attemptKey: key, on: connection)
                }
            } catch let error as PostgresError where error.sqlState?.code == "23505" {
                // Another instance was first, or this one before it died.
            }
            guard let opened = try Self.opened(key, on: connection) else {
                throw PostgresError.unexpectedResult("a recharge that was stored is not there")
            }
            return opened
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
                let before = row.machine
                let action = row.machine.failed(order.attempt.number, failure, now: now)
                guard row.machine != before else { return }
                row.lastFailure = failure
                if case .wait(let until) = action {
                    try row.write(lookAt: until, on: connection)
                } else {
                    try row.write(lookAt: 0, on: connection)
                }
            }
        }
    }

    public func rechargeStatus(of account: AccountID) async throws -> RechargeStatus {
        try await self.pool.run { connection in
            guard let row = try RechargeRow.find(account, lock: .none, on: connection) else {
                return RechargeStatus(
                    machine: Recharge(account: account), isPackageChanged: false, lastAttempt: nil)
            }
            let today = try Self.withTodaysPrice(row.machine, on: connection)
            return RechargeStatus(
                machine: row.machine,
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

extension PostgresLedger {
    private static func sight(
        of account: AccountID, on connection: PostgresConnection
    ) throws -> RechargeSight {
        let row = try connection.run(
            """
            SELECT balance_millicredits - floor_millicredits, version, blocked FROM credit_balance
            WHERE account_id = $1
            """, [.int(account)]
        ).one()
        // A difference of two amounts can leave their range, and the machine only compares it.
        let magnitude = Millicredits.magnitudeMax
        return RechargeSight(
            available: Millicredits(min(max(try row.int(0), -magnitude), magnitude)), version: try row.int(1),
            isSuspended: try row.bool(2))
    }

    /// Without settings when the package is not sold any more, or costs more than was agreed to.
    private static func withTodaysPrice(
        _ machine: Recharge, on connection: PostgresConnection
    ) throws -> Recharge {
        guard let agreed = machine.settings else { return machine }
        let price = try connection.run(
            "SELECT price_usd_cents FROM package WHERE code = $1 AND active AND price_usd_cents <= $2",
            [.text(agreed.packageCode), .int(agreed.priceUSDCents)]
        ).first?.int(0)
        let settings = try price.map { price in
            try RechargeSettings(
                threshold: agreed.threshold, packageCode: agreed.packageCode, priceUSDCents: price,
                dailyLimitCents: agreed.dailyLimitCents)
        }
        return Recharge(
            account: machine.account, settings: settings, state: machine.state, attempts: machine.attempts,
            declines: machine.declines, failures: machine.failures, spent: machine.spent,
            versionLeast: machine.versionLeast)
    }

    private static func opened(
        _ key: String, on connection: PostgresConnection
    ) throws -> OpenedRecharge? {
        try connection.run(
            "SELECT \(PurchaseRow.columns), p.payment_method_id FROM purchase p WHERE p.attempt_key = $1",
            [.text(key)]
        ).first.map { row in
            OpenedRecharge(purchase: try PurchaseRow.read(row), paymentMethod: try row.text(14))
        }
    }

    /// - Returns: false: money came or is coming, and then no answer of another kind counts.
    private static func refuse(_ id: PurchaseID, on connection: PostgresConnection) throws -> Bool {
        var purchase = try PurchaseRow.read(
            connection.run(
                "SELECT \(PurchaseRow.columns) FROM purchase p WHERE p.purchase_id = $1::uuid FOR UPDATE",
                [.uuid(id.uuid)]
            ).one())
        purchase.refused()
        try PurchaseRow.write(purchase, nil, on: connection)
        return purchase.status == .failed
    }

    private static func lastAttempt(
        of row: RechargeRow, on connection: PostgresConnection
    ) throws -> RechargeStatus.Attempt? {
        guard let attempt = row.attempt else { return nil }
        let opened = try Self.opened(attempt.key(of: row.machine.account), on: connection)
        let outcome: RechargeStatus.Attempt.Outcome =
            switch (row.machine.state, row.lastFailure) {
            case (.asking, _), (.processing, _): .underWay
            case (_, _) where opened?.purchase.status == .paid: .paid
            case (_, .outcomeUnknown?): .unknown
            case (_, let failure?): .failed(failure)
            case (_, nil): .unknown
            }
        return RechargeStatus.Attempt(
            number: attempt.number, cents: attempt.cents, startedAt: attempt.startedAt, outcome: outcome,
            purchase: opened?.purchase.id)
    }
}
