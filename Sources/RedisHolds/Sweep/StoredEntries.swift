import Metering
import MoneyPath

extension StoredHold {
    /// Reads the value of `h:<hold>`; nil when no script writes it like that.
    ///
    /// A price id may contain `|`: the first five fields are read from the left, the last two from the right. Behind
    /// the input estimate may stand the key and its tokens, which only scripts need.
    init?(_ hold: HoldID, value: String) {
        let fields = value.split(separator: "|", omittingEmptySubsequences: false)
        guard fields.count >= 8,
            let amount = Int64(fields[0]).flatMap(Millicredits.init(exactly:)), amount >= .zero,
            let deadline = Int64(fields[1]), let owner = HoldOwner(text: fields[2]),
            let placed = Int64(fields[3]),
            let estimate = Int64(fields[4].prefix { $0 != "," }).flatMap(Millicredits.init(exactly:)),
            estimate >= .zero,
            let endpoint = Endpoint(rawValue: String(fields[fields.count - 2])),
            let last = fields.last
        else { return nil }
        let progress = Int64(last).flatMap(Millicredits.init(exactly:))
        guard last.isEmpty || progress.map({ $0 >= .zero }) ?? false else { return nil }
        self.init(
            hold: hold, amount: amount, deadlineMilliseconds: deadline, owner: owner,
            placedMilliseconds: placed, inputEstimate: estimate,
            priceID: fields[5..<(fields.count - 2)].joined(separator: "|"), endpoint: endpoint,
            progress: progress)
    }
}

extension StoredCapture {
    /// Reads the value of `u:<hold>`; nil when it has no amount.
    init?(_ hold: HoldID, value: String) {
        guard let bar = value.firstIndex(of: "|"),
            let amount = Int64(value[..<bar]).flatMap(Millicredits.init(exactly:)), amount >= .zero
        else { return nil }
        let payload = value[value.index(after: bar)...]
        self.init(hold: hold, amount: amount, settlement: try? Settlement(decoding: payload.utf8))
    }
}

extension StoredAccount {
    /// - Parameter fields: name, value, name, value … as HGETALL answers.
    init(account: AccountID, fields: [String]) {
        let audit = AccountAudit(account: account, fields: fields)
        self.init(
            account: account, holds: [], captures: [], balance: audit.balance,
            problems: audit.problems.map { "\($0)" }, hasWrongSums: audit.hasWrongSums)
        for index in stride(from: 0, to: fields.count - 1, by: 2) {
            guard let hold = HoldID(text: fields[index].dropFirst(2)) else { continue }
            if fields[index].hasPrefix("h:") {
                if let entry = StoredHold(hold, value: fields[index + 1]) { self.holds.append(entry) }
            } else if fields[index].hasPrefix("u:") {
                if let entry = StoredCapture(hold, value: fields[index + 1]) { self.captures.append(entry) }
            }
        }
    }
}
