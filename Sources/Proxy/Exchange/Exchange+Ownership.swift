import Metering
import NIOCore

/// Responses that upstream keeps: whose they are is asked before one is used, and told when one is made. To upstream
/// all of them are the operator's.
extension Exchange {
    /// Its texts are counted: at once, or when it is known that the response that it goes on from is the client's own.
    func count(_ request: InspectedRequest) {
        guard let earlier = request.earlier else { return self.loop.inputCounter.count(request, of: self) }
        self.find(earlier.responseID, or: .noPreviousResponse(earlier.responseID)) { response in
            var request = request
            request.follow(response)
            self.loop.inputCounter.count(request, of: self)
        }
    }

    /// Another account's response is answered like one that does not exist, so that nobody learns which ids there are.
    func find(_ text: String, or missing: Refusal, _ proceed: @escaping (StoredResponse) -> Void) {
        guard let account = self.account, let id = ResponseID(text) else {
            self.refuse(missing)
            return
        }
        let eventLoop = self.loop.eventLoop
        let back = NIOLoopBound((self, proceed), eventLoop: eventLoop)
        self.loop.dependencies.responses.find(id, of: account.account) { result in
            eventLoop.execute {
                let (exchange, proceed) = back.value
                guard !exchange.isOver else { return }
                switch result {
                case .success(let response?) where response.account == account.account: proceed(response)
                case .success: exchange.refuse(missing)
                case .failure: exchange.refuse(.ownersUnreachable)
                }
            }
        }
    }

    // MARK: What is told

    /// Once the id of a stream's response was read, and before the client sees it: its next turn may come at another
    /// instance at once, however this one ends.
    func tellOwner() {
        guard !self.isOwnerTold, let stored = self.storedReply(usage: nil) else { return }
        self.tellOwner(of: stored)
    }

    func tellOwner(of stored: StoredReply) {
        guard let account = self.account, let model = self.plan?.request.model else { return }
        self.isOwnerTold = true
        self.loop.dependencies.responses.remember(
            StoredResponse(
                id: stored.id, account: account.account, model: model, context: stored.context,
                isCharged: stored.isCharged))
    }

    /// nil: upstream keeps nothing, or its id was not read.
    ///
    /// - Parameter usage: as it was reported and charged; nil: not known. What hosted tools found need not be in it, nor
    ///   what was left out for want of room.
    func storedReply(usage: Usage?) -> StoredReply? {
        guard let plan = self.plan, plan.request.endpoint == .responses, plan.request.stored,
            let id = self.relay?.responseID
        else { return nil }
        // A response that read nothing is one that was misreported.
        guard let usage, usage.inputTotal > 0, !plan.request.loops, !plan.request.truncates else {
            return StoredReply(id: id, isCharged: usage != nil)
        }
        return StoredReply(
            id: id, context: ContextTokens(input: usage.inputTotal, output: usage.outputTotal))
    }
}

extension Refusal {
    static func noPreviousResponse(_ id: String) -> Refusal {
        Refusal(
            .previousResponseNotFound, "Previous response with id '\(Self.shown(id))' not found.",
            param: "previous_response_id")
    }

    static func noResponse(_ id: String) -> Refusal {
        Refusal(.responseNotFound, "Response with id '\(Self.shown(id))' not found.")
    }

    /// What the client wrote, but no more of it than an id has.
    private static func shown(_ id: String) -> String {
        String(String.UnicodeScalarView(id.unicodeScalars.prefix(ResponseID.bytesMax)))
    }

    static let ownersUnreachable = Refusal(
        .holdsUnavailable, "Whose this response is cannot be checked right now; try again.",
        retryAfterSeconds: 1)
}
