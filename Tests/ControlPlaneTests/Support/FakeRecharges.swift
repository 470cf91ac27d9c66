import Billing
import Metering

/// Agrees to everything, and charges nobody.
struct FakeRecharges: RechargeDesk {
    private let refusal: RechargeRefusal?

    init(refusing refusal: RechargeRefusal? = nil) { self.refusal = refusal }

    func recharge(of account: AccountID) async throws(RechargeRefusal) -> RechargeStatus {
        if let refusal { throw refusal }
        return RechargeStatus(
            machine: Recharge(account: account), isPackageChanged: false, lastAttempt: nil)
    }

    func turnOnRecharge(
        of account: AccountID, threshold: Millicredits, packageCode: String, dailyLimitCents: Int64
    ) async throws(RechargeRefusal) -> RechargeStatus {
        var status = try await self.recharge(of: account)
        do throws(RechargeSettings.Failure) {
            status.machine.turnOn(
                try RechargeSettings(
                    threshold: threshold, packageCode: packageCode, priceUSDCents: 999,
                    dailyLimitCents: dailyLimitCents))
        } catch { throw .settings(error) }
        return status
    }

    func turnOffRecharge(of account: AccountID) async throws(RechargeRefusal) -> RechargeStatus {
        try await self.recharge(of: account)
    }
}
