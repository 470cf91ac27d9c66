import Billing
import Metering

extension Recharger: RechargeDesk {
    public func recharge(of account: AccountID) async throws(RechargeRefusal) -> RechargeStatus {
        guard self.isEnabled else { throw .notEnabled }
        return try await self.status(of: account)
    }

    public func turnOnRecharge(
        of account: AccountID, threshold: Millicredits, packageCode: String, dailyLimitCents: Int64
    ) async throws(RechargeRefusal) -> RechargeStatus {
        guard self.isEnabled else { throw .notEnabled }
        let packages: [CreditPackage]
        do { packages = try await self.desk.offers.packages() } catch { throw .ledgerUnavailable }
        guard let package = packages.first(where: { $0.code == packageCode }) else { throw .unknownPackage }
        let settings: RechargeSettings
        do throws(RechargeSettings.Failure) {
            settings = try RechargeSettings(
                threshold: threshold, package: package, dailyLimitCents: dailyLimitCents,
                dailyMaxCents: self.dailyMaxCents)
        } catch { throw .settings(error) }
        return try await self.set(settings, of: account)
    }

    public func turnOffRecharge(of account: AccountID) async throws(RechargeRefusal) -> RechargeStatus {
        try await self.set(nil, of: account)
    }

    private func set(
        _ settings: RechargeSettings?, of account: AccountID
    ) async throws(RechargeRefusal) -> RechargeStatus {
        do { try await self.ledger.setRecharge(settings, of: account) } catch { throw .ledgerUnavailable }
        return try await self.status(of: account)
    }

    private func status(of account: AccountID) async throws(RechargeRefusal) -> RechargeStatus {
        do {
            return try await self.ledger.rechargeStatus(of: account, dailyMaxCents: self.dailyMaxCents)
        } catch { throw .ledgerUnavailable }
    }
}
