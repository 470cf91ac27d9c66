import Metering
import MoneyPath
import NIOCore

/// Commands of the machine, as RESP.
extension RedisHoldSession {
    func send(_ command: HoldCommand, _ slot: HoldSlot, raise: Bool) {
        self.prepareFence()
        self.expect(slot)
        switch command {
        case .place(let request): self.send(request)
        case .capture(let settlement, let force):
            self.link.send(settlement, force: force, raise ? self.raisingPrefix : self.fencePrefix)
        case .release(let hold, let account): self.sendRelease(hold, of: account, raise: raise)
        case .touch(let hold, let account, let held, let progress):
            self.sendExtend(hold, of: account, held, progress, .none)
        case .extend(let hold, let account, let total, let progress, let caps):
            self.sendExtend(hold, of: account, total, progress, caps)
        case .reassert(let request, let amount, let progress):
            self.sendReassert(request, amount, progress, raise: raise)
        case .readNode: self.link.readNode()
        case .load(let account, let nonce):
            self.link.send(.load, of: account, arguments: 1, argumentBytes: nonce.utf8.count) {
                $0.argument(nonce)
            }
        case .initialize(let account, let incarnation, let epoch, let snapshot):
            self.sendInitialize(account, incarnation, epoch, snapshot)
        case .posted(let posting): self.link.send(posting.balance, posting.settled[...])
        case .gate(let gate): self.link.send(gate)
        }
    }

    private func send(_ request: PlaceRequest) {
        let bytes =
            self.placePrefix.count + self.leaseArguments.count + request.priceID.utf8.count
            + request.endpoint.rawValue.utf8.count + 36 + 17 * CommandCursor.integerBytesMax
        let limits = request.limits.areNone ? nil : request.limits
        let arguments = limits == nil ? 12 : 20
        self.link.send(.place, of: request.account, arguments: arguments, argumentBytes: bytes) {
            cursor in
            cursor.prepared(self.placePrefix)
            cursor.argument(request.hold)
            cursor.argument(request.want.value)
            cursor.argument(request.least.value)
            cursor.prepared(self.leaseArguments)
            cursor.meta(of: request, progress: nil)
            cursor.argument(request.caps.request)
            cursor.argument(request.caps.session)
            cursor.argument(request.caps.day)
            guard let limits else { return }
            cursor.argument(limits.keyID)
            cursor.argument(limits.tokens)
            cursor.argument(limits.key)
            cursor.argument(limits.account)
        }
    }

    private func sendRelease(_ hold: HoldID, of account: AccountID, raise: Bool) {
        let prefix = raise ? self.raisingPrefix : self.fencePrefix
        let bytes = prefix.count + self.ownerArgument.count + 36
        self.link.send(.release, of: account, arguments: 5, argumentBytes: bytes) { cursor in
            cursor.prepared(prefix)
            cursor.argument(hold)
            cursor.prepared(self.ownerArgument)
        }
    }

    private func sendExtend(
        _ hold: HoldID, of account: AccountID, _ total: Millicredits, _ progress: Millicredits?,
        _ caps: SpendCaps
    ) {
        let bytes =
            self.fencePrefix.count + self.leaseArguments.count + 36 + 5 * CommandCursor.integerBytesMax
        self.link.send(.extend, of: account, arguments: 11, argumentBytes: bytes) { cursor in
            cursor.prepared(self.fencePrefix)
            cursor.argument(hold)
            cursor.argument(total.value)
            cursor.prepared(self.leaseArguments)
            cursor.argument(progress)
            cursor.argument(caps.request)
            cursor.argument(caps.session)
            cursor.argument(caps.day)
        }
    }

    private func sendReassert(
        _ request: PlaceRequest, _ amount: Millicredits, _ progress: Millicredits?,
        raise: Bool
    ) {
        let prefix = raise ? self.raisingPrefix : self.fencePrefix
        let bytes =
            prefix.count + self.leaseArguments.count + request.priceID.utf8.count
            + request.endpoint.rawValue.utf8.count + 36 + 5 * CommandCursor.integerBytesMax
        self.link.send(.reassert, of: request.account, arguments: 8, argumentBytes: bytes) { cursor in
            cursor.prepared(prefix)
            cursor.argument(request.hold)
            cursor.argument(amount.value)
            cursor.prepared(self.leaseArguments)
            cursor.meta(of: request, progress: progress)
        }
    }

    private func sendInitialize(
        _ account: AccountID, _ incarnation: String, _ epoch: String, _ snapshot: AccountSnapshot
    ) {
        let (balance, gate, settled) = (snapshot.balance, snapshot.gate, snapshot.settled)
        self.link.send(
            .initialize, of: account, arguments: 10 + 3 * settled.count,
            argumentBytes: incarnation.utf8.count + epoch.utf8.count + 200 + settled.count * 57
        ) { cursor in
            cursor.argument(incarnation)
            cursor.argument(epoch)
            cursor.argument(balance.generation)
            cursor.argument(balance.version)
            cursor.argument(balance.balance.value)
            cursor.argument(gate.version)
            cursor.argument(gate.floor.value)
            cursor.argument(gate.blocked ? 1 : 0)
            cursor.argument(snapshot.spentLastHour.value)
            cursor.argument(snapshot.spentToday.value)
            for hold in settled {
                cursor.argument(hold.hold)
                cursor.argument(hold.amount.value)
                cursor.argument(Int64(hold.authority.rawValue))
            }
        }
    }
}

/// Commands that sessions, poster and sweep have in common.
extension RedisLink {
    /// - Parameter fence: loop, generation, raise as prepared arguments.
    func send(_ settlement: Settlement, force: Bool, _ fence: [UInt8]) {
        let payload = settlement.encode()
        let bytes = fence.count + payload.count + 100 + CommandCursor.integerBytesMax
        self.send(.capture, of: settlement.account, arguments: 9, argumentBytes: bytes) { cursor in
            cursor.prepared(fence)
            cursor.argument(force ? 1 : 0)
            cursor.argument(settlement.hold)
            cursor.argument(settlement.charge.amount.value)
            cursor.argument(payload)
            cursor.argument(settlement.limitedTokens)
            cursor.argument(settlement.counted.value)
        }
    }

    func send(_ balance: LedgerBalance, _ settled: ArraySlice<SettledHold>) {
        self.send(
            .posted, of: balance.account, arguments: 3 + 4 * settled.count,
            argumentBytes: 60 + settled.count * (57 + CommandCursor.integerBytesMax)
        ) { cursor in
            cursor.argument(balance.generation)
            cursor.argument(balance.version)
            cursor.argument(balance.balance.value)
            for hold in settled {
                cursor.argument(hold.hold)
                cursor.argument(hold.amount.value)
                cursor.argument(hold.counted.value)
                cursor.argument(Int64(hold.authority.rawValue))
            }
        }
    }

    func send(_ gate: AccountGate) {
        self.send(.gate, of: gate.account, arguments: 3, argumentBytes: 60) { cursor in
            cursor.argument(gate.version)
            cursor.argument(gate.floor.value)
            cursor.argument(gate.blocked ? 1 : 0)
        }
    }
}

extension HoldReply {
    /// Reads what the machine needs of a reply.
    init(_ reply: borrowing RedisReply, of slot: HoldSlot) {
        if let refusal = reply.refusal {
            self = .refused(refusal)
            return
        }
        switch slot {
        case .load:
            let holds = stride(from: 1, to: reply.count, by: 2).compactMap { index in
                reply.text(at: index).flatMap { HoldID(text: $0.dropFirst(2)) }
            }
            self = reply.text(at: 0).map { .listing(incarnation: $0, holds) } ?? .unreadable
        default:
            if let integer = reply.integer {
                self = .numbers(HoldNumbers(integer))
            } else if reply.integer(at: 0) != nil {
                // A place where there is no integer reads as 0; each script answers what its machine expects.
                self = .numbers(HoldNumbers(count: reply.count) { reply.integer(at: $0) ?? 0 })
            } else {
                self = .unreadable
            }
        }
    }
}
