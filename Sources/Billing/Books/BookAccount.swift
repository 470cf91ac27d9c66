/// The accounts of the journal, under the names that the export prints.
public enum BookAccount: String, Sendable, Hashable, CaseIterable, Comparable {
    /// Clearing: what is at Stripe, fees subtracted.
    case stripe = "assets:stripe"
    /// Withdrawn by banks whose disputes are open.
    case disputed = "assets:disputed"
    /// Paid for and not yet used.
    case deferredRevenue = "liabilities:deferred revenue"
    case openAIPayable = "liabilities:openai payable"
    case usageRevenue = "revenue:usage"
    /// Paid credits that an administrator took back without cash.
    case breakage = "revenue:breakage"
    /// Contra revenue: use of credits that nobody paid for, at their nominal value.
    case promotional = "contra:promotional"
    case stripeFees = "expenses:stripe fees"
    case disputeFees = "expenses:dispute fees"
    /// Cost of goods sold.
    case openAICost = "expenses:openai"
    case badDebt = "expenses:bad debt"

    /// What an accountant's program sorts it under.
    public enum Class: String, Sendable, Hashable {
        case asset, liability, revenue, expense
    }

    public var accountClass: Class {
        switch self {
        case .stripe, .disputed: .asset
        case .deferredRevenue, .openAIPayable: .liability
        case .usageRevenue, .breakage, .promotional: .revenue
        case .stripeFees, .disputeFees, .openAICost, .badDebt: .expense
        }
    }

    /// Assets first, in the order of declaration, as balance sheets are read.
    public static func < (left: BookAccount, right: BookAccount) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .stripe: 0
        case .disputed: 1
        case .deferredRevenue: 2
        case .openAIPayable: 3
        case .usageRevenue: 4
        case .breakage: 5
        case .promotional: 6
        case .stripeFees: 7
        case .disputeFees: 8
        case .openAICost: 9
        case .badDebt: 10
        }
    }
}
