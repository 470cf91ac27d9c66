import Metering
import NIOCore

/// What the ledger is told: how the exchange ended, and before that what it owes if this process dies.
extension Exchange {
    // MARK: The outcome

    /// Decides the outcome from everything seen so far, once, records it, and ends the hold. From here on it
    /// must succeed.
    ///
    /// - Parameter complete: upstream's message ended as framed, or said so itself (`[DONE]`).
    func settle(_ cause: EndCause, complete: Bool = false) {
        guard let plan = self.plan, let account = self.account else { return }
        if self.times != nil, self.times?.settling == nil { self.times?.settling = .now() }
        if let upstream = self.upstream { self.evidence.written = upstream.requestWritten }
        // A successful, complete message proves that upstream had the whole request, whatever the socket said
        // last.
        if complete, let status = self.relay?.head.status, status < 300 { self.evidence.written = .fully }
        self.evidence.inputMilliseconds = plan.inputUsage.inputMilliseconds
        self.evidence.characters = plan.inputUsage.characters
        self.relay?.evidence(
            complete: complete, plan: plan, unseen: self.waiting.bytes, into: &self.evidence)
        switch self.machine.end(cause, self.evidence, inputEstimate: plan.inputEstimateTokens) {
        case .ignoreDuplicate:
            return
        case .void:
            self.record(self.settlement(plan, account, .void, .zero, .zero, nil))
            self.loop.holds.release(self.hold, of: account.account, isRecorded: true)
        case .capture(let usage, let hold, let reason):
            let served = self.relay.map(\.servedTier) ?? .default
            let (charge, because) = plan.price.settledCharge(
                for: usage, estimatedBecause: reason, served: served, permitted: plan.bounds.permittedTiers,
                hold: hold, mode: plan.mode)
            if charge.amount > hold, self.waiver == nil {
                self.loop.metrics.overHold.wrappingAdd(1, ordering: .relaxed)
            }
            if because == nil, charge.amount == .zero, plan.want > .zero {
                // It is what was reported, but no request of a priced model is for nothing: somebody should look.
                self.loop.metrics.zeroUsage.wrappingAdd(1, ordering: .relaxed)
            }
            let settlement = self.settlement(plan, account, .final, usage, charge, because)
            self.record(settlement)
            self.loop.holds.capture(settlement)
            self.relay?.charged = settlement.charge.amount
            if let waiver = self.waiver { self.loop.metrics.countWaived(waiver) }
        }
    }

    private func record(_ settlement: Settlement) {
        precondition(
            self.hasReservation, "admit() reserves before it places, and only one outcome is decided")
        self.posted = .some(settlement)
        if let stored = settlement.stored { self.tellOwner(of: stored) }
        self.hasReservation = false
        let settlements = self.loop.dependencies.settlements
        guard settlements.isStrict, self.connection != nil else {
            // Nobody waits, so nobody is called back.
            _ = settlements.record(settlement, whenSafe: {})
            return
        }
        let eventLoop = self.loop.eventLoop
        let back = NIOLoopBound(self, eventLoop: eventLoop)
        let mustWait = settlements.record(settlement) { eventLoop.execute { back.value.becameSafe() } }
        if mustWait { self.endGate.close() }
    }

    /// The outcome is on the disk: what was held back goes on.
    private func becameSafe() {
        let action = self.endGate.becameSafe()
        guard action != .ignore, let connection = self.connection else { return }
        if self.heldTail.readableBytes > 0 {
            connection.write(buffer: self.heldTail)
            self.heldTail = ByteBuffer()
        }
        if case .end(let end) = action {
            self.endReply(end)
            return
        }
        connection.flush()
        // The client may have been found gone in that call.
        guard self.connection === connection else { return }
        self.downstreamWritabilityChanged(connection.isWritable)
    }

    // MARK: For those who find us dead

    /// The request goes upstream now: the journal learns what is settled if this process dies (rule J8), once, and the
    /// hold what a reaper charges if its disk dies with it.
    ///
    /// Returns false when the journal has no room after all: the request must not go.
    func openJournal() -> Bool {
        guard let plan = self.plan, let account = self.account else { return true }
        var charge = plan.inputCharge
        charge.amount = min(charge.amount, self.grant)
        guard !self.isOpened else {
            // It is sent once more.
            self.tellProgress(output: 0, charge: charge)
            return true
        }
        self.isOpened = self.loop.dependencies.settlements.opened(
            self.settlement(plan, account, .orphan, plan.inputUsage, charge, .proxyDied, authority: .recovery)
        )
        if self.isOpened { self.tellHold(charge) }
        return self.isOpened
    }

    /// To be called once per second: what passed meanwhile is told.
    func secondPassed() {
        self.relay?.secondPassed()
        self.tellProgress()
    }

    private func tellProgress() {
        guard self.isOpened, !self.machine.isSettled, let plan = self.plan, let relay = self.relay else {
            return
        }
        let output = relay.visibleOutput
        guard output > self.outputTold else { return }
        self.outputTold = output
        var usage = plan.inputUsage
        usage.output = output
        let charge = plan.price.settledCharge(
            for: usage, estimatedBecause: .proxyDied,
            served: relay.servedTier, permitted: plan.bounds.permittedTiers, hold: self.grant, mode: plan.mode
        ).charge
        self.tellProgress(output: output, charge: charge)
    }

    func tellProgress(output: Int64, charge: Charge) {
        self.loop.dependencies.settlements.progressed(
            ExchangeProgress(
                hold: self.hold, outputTokens: output, charge: self.posted(charge), shadow: charge.amount))
        self.tellHold(charge)
    }

    private func tellHold(_ charge: Charge) {
        self.loop.holds.progressed(self.hold, charge: self.posted(charge).amount)
    }

    /// What is posted of a charge: nothing when it is waived; what it cost the operator stays.
    private func posted(_ charge: Charge) -> Charge {
        self.waiver == nil ? charge : Charge(amount: .zero, cost: charge.cost)
    }

    private func settlement(
        _ plan: AdmissionPlan, _ account: AccountRecord, _ kind: Settlement.Kind, _ usage: Usage,
        _ charge: Charge, _ because: EstimateReason?, authority: Settlement.Authority = .owner
    ) -> Settlement {
        Settlement(
            account: account.account, hold: self.hold, owner: self.loop.configuration.boot,
            kind: self.waiver == nil || kind == .void ? kind : .waived,
            authority: authority, endpoint: plan.endpoint.metered,
            modelRequested: plan.request.model,
            modelServed: self.relay?.servedModel, servedTier: self.relay?.servedTierLiteral,
            priceID: plan.price.priceID, usage: usage, charge: self.posted(charge),
            shadow: charge.amount, estimatedBecause: because,
            upstreamRequestID: self.relay?.upstreamRequestID,
            occurredAtMilliseconds: self.startedAtMilliseconds,
            stored: self.storedReply(
                usage: kind == .final && because == nil ? usage : nil))
    }
}
