extension Settlement {
    /// An exchange that never went upstream, told from its hold alone: whoever says so, and however often, it is the same
    /// outcome with the same digest.
    ///
    /// - Parameter priceID: `card@version/model`; the model is all that follows the first slash.
    public static func void(
        of hold: HoldID, account: AccountID, owner: BootID, endpoint: Endpoint, priceID: String
    ) -> Settlement {
        Settlement(
            account: account, hold: hold, owner: owner, kind: .void, authority: .owner, endpoint: endpoint,
            modelRequested: Self.model(ofPrice: priceID), priceID: priceID, usage: .zero, charge: .zero,
            occurredAtMilliseconds: Int64(hold.millisecondsSinceEpoch))
    }

    /// The model that a price id names.
    public static func model(ofPrice priceID: String) -> String {
        guard let slash = priceID.firstIndex(of: "/") else { return priceID }
        return String(priceID[priceID.index(after: slash)...])
    }
}
