/// Counts the calls of hosted tools that one document shows, as its items come by.
struct ReplyToolCalls: Sendable {
    /// Searches that are billed, as `tool_usage` says: opened pages and the like are not among them. nil: it does not
    /// say, or no number that can be.
    private(set) var billableSearches: Int64?
    /// The calls that the document lists.
    private(set) var listed = ToolCalls()
    private var item = Item.other
    private var searchIsBillable = true

    private enum Item { case other, webSearch, fileSearch }

    /// More searches than this nobody made. What `max_tool_calls` permits is no bound for belief: a report is charged in
    /// full (DESIGN §4), also one above the hold. A number that cannot be is not there: the listed calls count.
    private static let searchesMax = Int64(Int32.max)

    /// What is billed for: `tool_usage` where it says something, else what is listed.
    var billed: ToolCalls {
        var calls = self.listed
        if let searches = self.billableSearches { calls[.webSearch] = searches }
        return calls
    }

    mutating func beginItem() { (self.item, self.searchIsBillable) = (.other, true) }

    /// - Parameter type: nil: it is too long to be one that is known.
    mutating func itemIs(_ type: UnsafeRawBufferPointer?) {
        self.item =
            ByteSearch.equals(type, "web_search_call")
            ? .webSearch : ByteSearch.equals(type, "file_search_call") ? .fileSearch : .other
    }

    /// A call without an action is one that is billed.
    mutating func actionIs(_ type: UnsafeRawBufferPointer?) {
        self.searchIsBillable = ByteSearch.equals(type, "search")
    }

    mutating func endItem() {
        switch self.item {
        case .webSearch: if self.searchIsBillable { self.listed[.webSearch] &+= 1 }
        case .fileSearch: self.listed[.fileSearch] &+= 1
        case .other: break
        }
    }

    /// - Parameter searches: nil when it was no whole number, or too large for one.
    mutating func reported(searches: Int64?) {
        self.billableSearches = searches.flatMap { $0 <= Self.searchesMax ? $0 : nil }
    }
}

extension ToolCalls {
    /// Of each kind the larger number.
    func maximum(_ other: ToolCalls) -> ToolCalls {
        var calls = self
        for kind in ToolKind.allCases { calls[kind] = max(self[kind], other[kind]) }
        return calls
    }
}
