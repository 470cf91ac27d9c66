import Metering
import RedisHolds

/// Σ held and captured of one account, for the billing summary. What is waived is not taken from the balance.
struct HeldAmounts: HeldReading {
    let reader: RedisAccountReader

    func held(of account: AccountID) async -> Millicredits? {
        guard let audit = try? await self.reader.read(account) else { return nil }
        return Millicredits(exactly: audit.held - audit.waived + audit.captured)
    }
}
