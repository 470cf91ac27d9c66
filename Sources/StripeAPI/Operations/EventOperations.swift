/// One event, read instead of trusting a delivery that came at the wrong time. Stripe keeps events for 30
/// days.
public struct RetrieveEvent: StripeOperation {
    public var event: String

    public init(_ event: String) { self.event = event }

    public mutating func step(after reply: StripeReply?) throws(StripeFailure) -> OperationStep<StripeEvent> {
        guard let reply else { return .ask(StripeRequest(.get, ["events", self.event])) }
        return .done(try StripeEvent.parse(reply))
    }
}

/// Events of a time, **oldest first**, so that they are applied in the order in which they happened.
public struct ListEvents: StripeOperation {
    /// What Stripe takes in one request.
    public static let typesMax = 20

    private var pages: PageReader<StripeEvent>

    /// - Parameters:
    ///   - types: at most 20; empty means all.
    ///   - onlyUndelivered: those that some endpoint has not answered with a 2xx yet.
    /// - Precondition: the caller guarantees at most `typesMax` types.
    public init(created window: CreationWindow, types: [String] = [], onlyUndelivered: Bool = false) {
        precondition(
            types.count <= Self.typesMax, "StripeEventKind.paymentTypesForListing has portions of 20")
        self.pages = PageReader(
            ["events"],
            [
                "created": window.filter,
                "types": types.isEmpty ? .absent : .texts(types),
                "delivery_success": onlyUndelivered ? false : .absent,
            ])
    }

    public mutating func step(after reply: StripeReply?) throws(StripeFailure) -> OperationStep<[StripeEvent]>
    {
        switch try self.pages.step(after: reply) {
        case .ask(let request): .ask(request)
        case .done(let newestFirst): .done(newestFirst.reversed())
        }
    }
}
