/// Something that comes in lists.
public protocol Listed: StripeObject {
    var id: String { get }
    static func page(from reply: StripeReply) throws(StripeFailure) -> Page<Self>
}

extension Listed {
    public static func page(from reply: StripeReply) throws(StripeFailure) -> Page<Self> {
        try reply.decode(Page<Self>.self)
    }
}

/// One page of a list, newest first.
public struct Page<Item: StripeObject>: StripeObject {
    public var data: [Item]
    public var hasMore: Bool

    private enum CodingKeys: String, CodingKey {
        case data
        case hasMore = "has_more"
    }

    public func belongs(toLivemode isLive: Bool) -> Bool {
        self.data.allSatisfy { $0.belongs(toLivemode: isLive) }
    }
}

/// Reads a list to its end. What is added at its front meanwhile is not seen; nothing is skipped or seen
/// twice.
public struct PageReader<Item: Listed>: Sendable {
    static var pageSize: Int64 { 100 }

    private let path: [String]
    private var filter: FormTable
    private var items: [Item] = []
    private var cursors: Set<String> = []

    init(_ path: [String], _ filter: FormTable = FormTable()) {
        self.path = path
        self.filter = filter
        self.filter["limit"] = .integer(Self.pageSize)
    }

    mutating func step(after reply: StripeReply?) throws(StripeFailure) -> OperationStep<[Item]> {
        guard let reply else { return .ask(StripeRequest(.get, self.path, self.filter)) }
        let page = try Item.page(from: reply)
        self.items += page.data
        guard page.hasMore else { return .done(self.items) }
        // More, but nothing to go on from, or the same again: reading on would never end.
        guard let last = page.data.last, self.cursors.insert(last.id).inserted else {
            throw reply.failure(.unreadableReply)
        }
        self.filter["starting_after"] = .text(last.id)
        return .ask(StripeRequest(.get, self.path, self.filter))
    }
}

/// An operation that reads one list, newest first.
public protocol StripeListing: StripeOperation where Output == [Item] {
    associatedtype Item: Listed
    var pages: PageReader<Item> { get set }
}

extension StripeListing {
    public mutating func step(after reply: StripeReply?) throws(StripeFailure) -> OperationStep<[Item]> {
        try self.pages.step(after: reply)
    }
}

/// A span of time in seconds since 1970, its end not included.
public struct CreationWindow: Sendable, Hashable {
    public var from: Int64
    public var to: Int64?

    public init(from: Int64, to: Int64? = nil) {
        self.from = from
        self.to = to
    }

    var filter: FormValue { ["gte": .integer(self.from), "lt": .optional(self.to)] }
}
