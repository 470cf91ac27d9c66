import Metering
import NIOCore

/// Steps 2–5 of DESIGN §3: who pays, what is asked, what it can cost, and the hold.
extension Exchange {
    // MARK: Who pays

    func authenticate() {
        guard let connection = self.connection else { return }
        guard
            let digests = connection.lastAuthorization.digests(
                of: self.request, hasher: self.loop.keyHasher, generation: self.loop.keyGeneration)
        else {
            self.refuse(.missingKey)
            return
        }
        for digest in digests {
            if let key = self.loop.dependencies.directory.cachedKey(digest) {
                self.authenticated(key)
                return
            }
        }
        self.resolveKey(digests[...])
    }

    /// The snapshot does not know the key: the database decides, one digest after the other.
    private func resolveKey(_ digests: ArraySlice<KeyDigest>) {
        guard !self.isOver else { return }
        guard let digest = digests.first else {
            self.refuse(.unknownKey)
            return
        }
        let back = NIOLoopBound(self, eventLoop: self.loop.eventLoop)
        let eventLoop = self.loop.eventLoop
        self.loop.dependencies.directory.resolveKey(digest) { result in
            eventLoop.execute {
                switch result {
                case .success(.some(let key)): back.value.authenticated(key)
                case .success(.none): back.value.resolveKey(digests.dropFirst())
                case .failure: back.value.refuse(.unavailable(.ledgerUnreachable))
                }
            }
        }
    }

    private func authenticated(_ key: KeyRecord) {
        guard !self.isOver else { return }
        self.key = key
        let named = self.request.text(self.request.head.tollgateUser)
        switch key.holder {
        case .account(let account):
            if let named, !named.utf8.elementsEqual(key.label.utf8) {
                self.refuse(.notYourAccount)
                return
            }
            self.lookUp(account)
        case .service:
            guard let named else {
                self.refuse(.serviceKeyWithoutUser)
                return
            }
            self.lookUp(userID: named)
        }
    }

    private func lookUp(_ account: AccountID) {
        if let record = self.loop.dependencies.directory.cachedAccount(account) {
            self.identified(record)
            return
        }
        let back = NIOLoopBound(self, eventLoop: self.loop.eventLoop)
        let eventLoop = self.loop.eventLoop
        self.loop.dependencies.directory.resolveAccount(account) { result in
            eventLoop.execute {
                switch result {
                case .success(.some(let record)): back.value.identified(record)
                case .success(.none): back.value.refuse(.unknownKey)
                case .failure: back.value.refuse(.unavailable(.ledgerUnreachable))
                }
            }
        }
    }

    private func lookUp(userID: String) {
        guard UserID.isValid(userID) else {
            self.refuse(.badUser)
            return
        }
        if let record = self.loop.dependencies.directory.cachedAccount(userID: userID) {
            self.identified(record)
            return
        }
        let back = NIOLoopBound(self, eventLoop: self.loop.eventLoop)
        let eventLoop = self.loop.eventLoop
        self.loop.dependencies.directory.findOrCreateAccount(userID: userID) { result in
            eventLoop.execute {
                switch result {
                case .success(let record): back.value.identified(record)
                case .failure: back.value.refuse(.unavailable(.ledgerUnreachable))
                }
            }
        }
    }

    private func identified(_ account: AccountRecord) {
        guard !self.isOver else { return }
        guard !account.suspended else {
            self.refuse(.suspended)
            return
        }
        self.account = account
        switch self.route {
        case .metered, .aiChat:
            guard self.request.head.method == .post else {
                self.refuse(Refusal(.methodNotAllowed, "Use POST."))
                return
            }
            guard self.request.head.contentEncoding == nil else {
                self.refuse(.compressedBody)
                return
            }
            if let refusal = self.refusalOfKey {
                self.refuse(refusal)
                return
            }
            // Only now is the body of any use; `admit` follows when it is there.
            self.connection?.collectBody()
        case .models:
            self.answerModels()
        case .model(let range):
            let start = self.request.head.targetRange.lowerBound
            self.answerModel(
                named: self.request.text(start + range.lowerBound..<start + range.upperBound) ?? "")
        case .storedResponse(let id):
            self.retrieve(id)
        case .unmetered:
            self.refuse(.notMetered("This endpoint"))
        }
    }

    // MARK: What it can cost

    /// The whole body is there.
    func admit() {
        guard let endpoint = self.route.inspected else {
            preconditionFailure("identified() collects a body for these routes only")
        }
        let inspected = self.request.body.withUnsafeReadableBytes {
            endpoint.takesForm
                ? self.inspectUpload($0, as: endpoint) : RequestInspector.inspect($0, as: endpoint)
        }
        switch consume inspected {
        case .failure(let rejection):
            self.refuse(Refusal(rejection))
        case .success(let request):
            self.claimKey(request)
        }
    }

    /// The texts of the body are counted, as far as they are to be.
    func admit(_ request: InspectedRequest, _ counted: CountedInput) {
        do throws(Refusal) {
            self.waiver = try self.waiver(for: request)
            let plan = try AdmissionPlan(
                request, bodyBytes: self.request.body.readableBytes, counted: counted,
                prices: self.loop.dependencies.prices.current,
                leastOutputTokens: self.loop.configuration.limits.leastOutputTokens,
                rollingStep: self.loop.configuration.limits.rollingStepTokens,
                accountHolds: self.account?.holds ?? self.loop.configuration.holds,
                isWaived: self.waiver != nil)
            self.plan = plan
            self.place(plan)
        } catch {
            self.refuse(error)
        }
    }

    /// Looks at the controls, once for the whole exchange.
    private func waiver(for request: InspectedRequest) throws(Refusal) -> Waiver? {
        guard let account = self.account else { preconditionFailure("identified() comes before any body") }
        let row = self.loop.dependencies.prices.current.row(for: request.model)?.model
        switch self.loop.dependencies.controls.current.decision(
            for: account.userID, model: request.model, row: row)
        {
        case .charged: return nil
        case .waived(let waiver): return waiver
        case .refused: throw .modelNotAllowed(request.model)
        }
    }

    private func inspectUpload(
        _ body: UnsafeRawBufferPointer, as endpoint: InspectedEndpoint
    ) -> Result<InspectedRequest, RequestRejection> {
        self.request.headBytes.withUnsafeReadableBytes { head in
            UploadInspector.inspect(body, contentType: self.contentType(in: head), as: endpoint)
        }
    }

    /// The value of `Content-Type`: a head with two of them was refused.
    func contentType(in head: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        let field = self.request.head.fields.first { Characters.equal(head, $0.name, "content-type") }
        return field.map { UnsafeRawBufferPointer(rebasing: head[$0.value]) }
    }

    // MARK: The hold

    private func place(_ plan: AdmissionPlan) {
        guard let account = self.account else { return }
        // The id of the hold decides where its settlement is kept (MONEY_PATH C13).
        guard self.hasTrustedTime, self.loop.dependencies.clock.isTrusted else {
            self.refuse(.untrustedClock)
            return
        }
        guard self.loop.dependencies.settlements.reserve() else {
            self.refuse(
                Refusal(
                    .holdsUnavailable, "Too many charges wait to be posted; try again.", retryAfterSeconds: 2)
            )
            return
        }
        self.hasReservation = true
        let request = PlaceRequest(
            account: account.account, hold: self.hold, want: plan.want, least: plan.least,
            inputEstimate: self.waiver == nil ? min(plan.inputCharge.amount, plan.least) : .zero,
            priceID: plan.price.priceID,
            endpoint: plan.endpoint.metered,
            caps: self.loop.configuration.caps, limits: self.limits(of: account, plan),
            isWaived: self.waiver != nil)
        self.isPlacing = true
        self.times?.placing = .now()
        self.loop.holds.place(request) { answer in self.placed(answer, plan) }
    }

    private func placed(_ answer: PlaceAnswer, _ plan: AdmissionPlan) {
        self.isPlacing = false
        if self.times != nil { self.times?.placed = .now() }
        if case .granted(let amount, let balance, let notes) = answer {
            self.notes = notes
            self.granted(amount, balance: balance, plan)
            return
        }
        switch self.machine.refused() {
        case .answer:
            self.refuse(self.refusal(for: answer, plan))
        case .drop:
            self.giveBackReservation()
            self.finish(status: Status.clientClosed, .clientGone)
        case .ignore:
            break
        }
    }

    private func granted(_ amount: Millicredits, balance: Millicredits, _ plan: AdmissionPlan) {
        switch self.machine.placed(amount) {
        case .proceed:
            self.grant = amount
            self.balance = balance
            self.sentCap = plan.cap(under: amount)
            self.rolling = plan.rolling.map { RollingHold($0, granted: amount, wanted: plan.want) }
            // Nothing was sent yet: a reaper that reads this charges nothing.
            self.loop.holds.progressed(self.hold, charge: .zero)
            self.awaitUpstream(fresh: false)
        case .giveBack:
            guard let account = self.account else { return }
            self.loop.holds.release(self.hold, of: account.account, isRecorded: false)
            self.giveBackReservation()
            self.finish(status: Status.clientClosed, .clientGone)
        case .ignore:
            break
        }
    }

    /// Where the client's user buys credits.
    var creditsPage: String {
        let path = "/billing?tab=credits"
        return self.shape == .api ? path : self.loop.configuration.publicURL + path
    }

    private func refusal(for answer: PlaceAnswer, _ plan: AdmissionPlan) -> Refusal {
        switch answer {
        case .granted:
            preconditionFailure("placed() handles a grant")
        case .short(let available):
            return .insufficientCredits(
                required: plan.least, available: available,
                affordableOutputTokens: plan.affordableOutputTokens(max(available, .zero)),
                redirectTo: self.creditsPage)
        case .capReached(let cap, let limit, let resetsAt):
            return .capReached(cap, limit: limit, resetsAtMilliseconds: resetsAt)
        case .limited(let refusal):
            guard let account = self.account else { preconditionFailure("place() has one") }
            return .limited(refusal, tokens: self.limits(of: account, plan).tokens)
        case .blocked:
            return .suspended
        case .unavailable(let why):
            return .unavailable(why)
        }
    }
}

/// Remembers the digests of the last `Authorization` value of a connection, since clients repeat it.
struct AuthorizationMemo {
    private var value: [UInt8] = []
    private var known: [KeyDigest] = []
    private var generation = 0

    /// nil when the field is absent or is not `Bearer tg_…`.
    mutating func digests(
        of request: PendingRequest, hasher: KeyHasher, generation: Int
    ) -> [KeyDigest]? {
        guard let range = request.head.authorization else { return nil }
        return request.headBytes.withUnsafeReadableBytes { bytes -> [KeyDigest]? in
            let field = UnsafeRawBufferPointer(rebasing: bytes[range])
            if !self.known.isEmpty, generation == self.generation,
                self.value.withUnsafeBytes({ Characters.same($0, field) })
            {
                return self.known
            }
            guard let key = Self.bearer(field) else { return nil }
            self.known = hasher.candidates(key)
            self.generation = generation
            self.value = Array(field)
            return self.known
        }
    }

    /// The key of `Bearer <key>`; the scheme's case does not matter (RFC 9110).
    private static func bearer(_ field: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        let scheme: StaticString = "bearer "
        let keyBytesMax = 256
        guard field.count > 7, field.count <= 7 + keyBytesMax else { return nil }
        for index in 0..<7 where field[index] | 0x20 != scheme.utf8Start[index] | 0x20 { return nil }
        let key = UnsafeRawBufferPointer(rebasing: field[7...])
        guard key.starts(with: [0x74, 0x67, 0x5f]) else { return nil }
        return key
    }
}
