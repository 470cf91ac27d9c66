import Billing
import Metering

extension PostgresLedger {
    /// A purchase that Stripe was asked for without an answer, by an attempt that was stopped since, may be paid: its event
    /// tells, and after a day none comes any more.
    static func sight(
        of account: AccountID, _ context: RechargeContext, on connection: PostgresConnection
    ) throws -> RechargeSight {
        let row = try connection.run(
            """
            SELECT balance_millicredits - floor_millicredits, version, blocked,
                   EXISTS (SELECT FROM purchase p
                       WHERE p.account_id = $1 AND p.kind = 'recharge' AND p.livemode = $2
                           AND (p.status IN ('processing', 'quarantined')
                               OR (p.status = 'created' AND p.created_at > to_timestamp($3 / 1000.0))))
            FROM credit_balance WHERE account_id = $1
            """, [.int(account), .bool(context.livemode), .int(context.now - Recharge.eventsLateMax)]
        ).one()
        // A difference of two amounts can leave their range, and the machine only compares it.
        let magnitude = Millicredits.magnitudeMax
        return RechargeSight(
            available: Millicredits(min(max(try row.int(0), -magnitude), magnitude)), version: try row.int(1),
            isSuspended: try row.bool(2), isPaymentUnderWay: try row.bool(3))
    }

    /// Without settings when the package is not sold any more, costs more than was agreed to, or fills up no more than
    /// the threshold.
    static func today(
        _ machine: Recharge, _ dailyMaxCents: Int64, on connection: PostgresConnection
    ) throws -> Recharge {
        guard let agreed = machine.settings else { return machine }
        let price = try connection.run(
            """
            SELECT price_usd_cents FROM package
            WHERE code = $1 AND active AND price_usd_cents <= $2 AND credits > $3 / 1000
            """, [.text(agreed.packageCode), .int(agreed.priceUSDCents), .int(agreed.threshold.value)]
        ).first?.int(0)
        return machine.with(
            try price.map { price in
                try RechargeSettings(
                    threshold: agreed.threshold, packageCode: agreed.packageCode, priceUSDCents: price,
                    dailyLimitCents: agreed.dailyLimitCents
                ).atMost(dailyMaxCents)
            })
    }

    static func opened(
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
    static func refuse(_ id: PurchaseID, on connection: PostgresConnection) throws -> Bool {
        var purchase = try PurchaseRow.read(
            connection.run(
                "SELECT \(PurchaseRow.columns) FROM purchase p WHERE p.purchase_id = $1::uuid FOR UPDATE",
                [.uuid(id.uuid)]
            ).one())
        purchase.refused()
        try PurchaseRow.write(purchase, nil, on: connection)
        return purchase.status == .failed
    }

    static func lastAttempt(
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
