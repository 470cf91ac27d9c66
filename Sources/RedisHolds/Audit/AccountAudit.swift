import Metering

/// What one account's hash says, and what is wrong with it by itself (DESIGN §9: R1, R2, R4). The caller
/// compares balance and version with the ledger (R3) and the ids with the settlements (R5).
public struct AccountAudit: Sendable, Hashable {
    public var account: AccountID
    public var epoch: String?
    /// nil: the hash has no balance (never loaded, or only put back holds).
    public var balance: LedgerBalance?
    public var floor: Int64
    /// `H` and `U` as stored.
    public var held: Int64
    public var captured: Int64
    /// `W` as stored: the part of `held` that is waived, and takes nothing of the balance.
    public var waived: Int64
    public var holds: [SettledHold]
    public var captures: [SettledHold]
    public var problems: [Problem]
    private var windows: SpendWindows?

    public enum Problem: Sendable, Hashable {
        /// R1: `H` is not the sum of the holds.
        case heldSum(stored: Int64, computed: Int64)
        /// R2: `U` is not the sum of the captures.
        case capturedSum(stored: Int64, computed: Int64)
        /// R1: `W` is not the sum of the holds that are waived.
        case waivedSum(stored: Int64, computed: Int64)
        /// R4: one id is both held and captured.
        case heldAndCaptured(HoldID)
        /// A field that no script writes like that; its name, cut to 64 characters.
        case malformed(field: String)
    }

    /// One of `H`, `U` and `W` is wrong, and a cold load can add it up: beside an entry that nobody can read it would come
    /// to the same again.
    public var hasWrongSums: Bool {
        let sums = self.problems.count { problem in
            switch problem {
            case .heldSum, .capturedSum, .waivedSum: true
            case .heldAndCaptured, .malformed: false
            }
        }
        let isReadable = !self.problems.contains { if case .malformed = $0 { true } else { false } }
        return sums > 0 && isReadable
    }

    /// p − H + W − U − f; nil without a balance. R6: negative only after an over-hold, a claw-back or an epoch
    /// change.
    public var available: Int64? {
        self.balance.map { $0.balance.value - self.held + self.waived - self.captured - self.floor }
    }

    /// What was captured in the last sixty minutes and on the UTC day, as caps count it; nil: the hash does not say.
    ///
    /// - Parameter milliseconds: now, since 1970.
    public func spent(at milliseconds: Int64) -> (hour: Int64, day: Int64)? {
        self.windows?.spent(at: milliseconds)
    }

    /// - Parameter fields: name, value, name, value … as HGETALL answers.
    init(account: AccountID, fields: [String]) {
        self.account = account
        (self.holds, self.captures, self.problems) = ([], [], [])
        var numbers: [String: Int64] = [:]
        var waived: Int64 = 0
        var epoch: String?
        var spend: [String: String] = [:]
        for index in stride(from: 0, to: fields.count - 1, by: 2) {
            let (name, value) = (fields[index], fields[index + 1])
            if name.hasPrefix("h:") || name.hasPrefix("u:") {
                guard let id = HoldID(text: name.dropFirst(2)), let amount = Self.leadingAmount(value) else {
                    self.problems.append(.malformed(field: String(name.prefix(64))))
                    continue
                }
                let entry = SettledHold(hold: id, amount: amount)
                if name.hasPrefix("h:") {
                    self.holds.append(entry)
                    if Self.isWaived(value) { waived &+= amount.value }
                } else {
                    self.captures.append(entry)
                }
            } else if ["p", "s", "lg", "H", "U", "W", "f", "gs"].contains(name) {
                guard let number = Int64(value), String(number) == value else {
                    self.problems.append(.malformed(field: name))
                    continue
                }
                numbers[name] = number
            } else if name == "e" {
                epoch = value
            } else if name.first == "m" || ["M", "D", "di"].contains(name) {
                spend[name] = value
            }
        }
        self.epoch = epoch
        self.windows = SpendWindows(spend)
        self.held = numbers["H"] ?? 0
        self.captured = numbers["U"] ?? 0
        self.waived = numbers["W"] ?? 0
        self.floor = numbers["f"] ?? 0
        if let posted = numbers["p"].flatMap(Millicredits.init(exactly:)), let version = numbers["s"] {
            self.balance = LedgerBalance(
                account: account, generation: numbers["lg"] ?? 0, version: version, balance: posted)
        }
        self.check()
        if waived != self.waived {
            self.problems.append(.waivedSum(stored: self.waived, computed: waived))
        }
    }

    private mutating func check() {
        let held = self.holds.reduce(0) { $0 &+ $1.amount.value }
        let captured = self.captures.reduce(0) { $0 &+ $1.amount.value }
        if held != self.held { self.problems.append(.heldSum(stored: self.held, computed: held)) }
        if captured != self.captured {
            self.problems.append(.capturedSum(stored: self.captured, computed: captured))
        }
        let both = Set(self.holds.map(\.hold)).intersection(self.captures.map(\.hold))
        for id in both.sorted() { self.problems.append(.heldAndCaptured(id)) }
    }

    /// The fifth part of a hold is `0,key,tokens,w`.
    private static func isWaived(_ value: String) -> Bool {
        let parts = value.split(separator: "|", maxSplits: 5, omittingEmptySubsequences: false)
        return parts.count == 6 && parts[4].hasSuffix(",w")
    }

    private static func leadingAmount(_ value: String) -> Millicredits? {
        guard let bar = value.firstIndex(of: "|"), let number = Int64(value[..<bar]), number >= 0 else {
            return nil
        }
        return Millicredits(exactly: number)
    }
}
