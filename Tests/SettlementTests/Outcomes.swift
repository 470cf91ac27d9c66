import Metering

/// Builds outcomes of account 1, with ids that tell their order.
func outcome(_ number: UInt64, account: AccountID = 1, amount: Int64 = 5) -> Settlement {
    Settlement(
        account: account, hold: HoldID(high: 7, low: number), owner: HoldID(high: 1, low: 1), kind: .final,
        authority: .owner, endpoint: .chat, modelRequested: "gpt-4o-mini", priceID: "c@1/gpt-4o-mini",
        usage: Usage(input: 1, output: 1), charge: Charge(amount: Millicredits(amount), cost: .zero),
        occurredAtMilliseconds: 1)
}
