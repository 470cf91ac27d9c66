import Metering
import MoneyPath

/// The data plane: clients come, are admitted or not, and are served.
extension SimProcess {
    func nextClient() {
        guard self.world.isFaulty else { return }
        let pause = self.world.random.between(20, 900) * self.world.settings.profile.clientPauses
        self.after(.milliseconds(pause)) {
            self.startExchange()
            self.nextClient()
        }
    }

    /// An exchange of a single token, after everything was healed.
    func startProbe(of account: AccountID) -> HoldID? {
        self.begin(account: account, input: 0, script: .probe)
    }

    private func startExchange() {
        let world = self.world
        let account = AccountID(1 + world.random.below(SimSettings.accounts))
        let script = SimUpstream(
            &world.random, faulty: world.isFaulty, longOneIn: world.settings.profile.longStreamOneIn)
        _ = self.begin(account: account, input: world.random.between(0, 60), script: script)
    }

    private func begin(account: AccountID, input: Int64, script: SimUpstream) -> HoldID? {
        guard self.journal.reserve() else { return nil }
        let world = self.world
        let isWaived = self.waived.contains(account)
        var script = script
        // What is waived is not cut, so there is nothing to ask for on the way.
        if isWaived { script.rolls = false }
        let least = input + (script.rolls ? script.piece : script.outputMax)
        let want = world.random.oneIn(3) || !world.isFaulty ? least : least + world.random.between(0, 400)
        let exchange = SimExchange(
            hold: world.makeID(), account: account, session: world.random.below(self.sessions.count),
            input: input, want: want, least: least, script: script, isWaived: isWaived,
            startedAtMilliseconds: world.nowMilliseconds)
        self.exchanges[exchange.hold] = exchange
        world.truth.began(exchange, boot: self.boot, at: world.time)
        world.tell(
            exchange.hold,
            "\(self.name): PLACE want \(want) least \(least) account \(account)"
                + (isWaived ? ", waived" : ""))
        self.sessions[exchange.session].place(
            PlaceRequest(
                account: account, hold: exchange.hold, want: exchange.want, least: exchange.least,
                inputEstimate: isWaived ? .zero : Millicredits(input), priceID: SimPrice.model.priceID,
                endpoint: .chat, caps: world.caps[account] ?? .none, isWaived: isWaived))
        if script.clientLeavesWhilePlacing, case .placing = exchange.machine.state {
            world.count(.clientGoneWhilePlacing)
            _ = exchange.machine.clientGone()
        }
        return exchange.hold
    }

    /// The session answered.
    func placed(_ hold: HoldID, _ answer: PlaceAnswer) {
        guard let exchange = self.exchanges[hold] else { return }
        self.world.tell(hold, "\(self.name): answer \(answer)")
        self.world.truth.answered(hold, answer)
        if case .capReached = answer { self.world.count(.capRefused) }
        guard case .granted(let amount, _, _) = answer else {
            _ = exchange.machine.refused()
            return self.drop(exchange)
        }
        switch exchange.machine.placed(amount) {
        case .proceed:
            exchange.grant = amount
            if exchange.isWaived { self.world.count(.waived) }
            self.world.truth.granted(hold, amount)
            self.sessions[exchange.session].progressed(hold, .zero)
            self.after(.milliseconds(self.world.random.between(0, 60))) { self.sendUpstream(exchange) }
        case .giveBack:
            self.sessions[exchange.session].release(hold, isRecorded: false)
            self.drop(exchange)
        case .ignore: break
        }
    }

    /// Nothing will be recorded.
    private func drop(_ exchange: SimExchange) {
        if exchange.hasReservation { self.giveBackReservation(exchange) }
        self.exchanges[exchange.hold] = nil
    }

    private func giveBackReservation(_ exchange: SimExchange) {
        exchange.hasReservation = false
        self.journal.giveBackReservation()
    }

    // MARK: Upstream

    private func sendUpstream(_ exchange: SimExchange) {
        guard self.exchanges[exchange.hold] != nil else { return }
        if exchange.script.end == .refused {
            self.world.count(.upstreamRefused)
            return self.end(exchange, .upstreamCut)
        }
        let usage = Usage(input: exchange.input, output: 0)
        let charge = SimPrice.charge(usage, .proxyDied, hold: exchange.grant)
        if self.world.has(.openBeforeUpstream) {
            let worst = Settlement(
                account: exchange.account, hold: exchange.hold, owner: self.boot,
                kind: exchange.isWaived ? .waived : .orphan,
                authority: .recovery, endpoint: .chat, modelRequested: "gpt-sim",
                priceID: SimPrice.model.priceID, usage: usage, charge: exchange.posted(charge),
                shadow: charge.amount, estimatedBecause: .proxyDied,
                occurredAtMilliseconds: exchange.startedAtMilliseconds)
            guard self.journal.open(worst) != nil else { return self.end(exchange, .upstreamCut) }
            exchange.isOpened = true
            self.wrote()
            self.world.truth.journaled(exchange.hold, exchange.posted(charge).amount, shadow: charge.amount)
        }
        self.sessions[exchange.session].progressed(exchange.hold, exchange.posted(charge).amount)
        exchange.evidence.written = .fully
        self.world.truth.sent(exchange.hold)
        self.world.tell(exchange.hold, "\(self.name): sent upstream")
        self.after(.milliseconds(self.world.random.between(5, 200))) { self.piece(1, of: exchange) }
    }

    private func piece(_ number: Int, of exchange: SimExchange) {
        guard self.exchanges[exchange.hold] != nil, !exchange.machine.isSettled else { return }
        let script = exchange.script
        if script.clientLeavesAfter == number - 1, case .end = exchange.machine.clientGone() {
            self.world.count(.clientGone)
            if !script.drains { return self.end(exchange, .clientGone) }
        }
        if number == 1, [.errorComplete, .errorPartial, .timeout].contains(script.end) {
            return self.endEarly(exchange)
        }
        self.needed(of: exchange, at: number) { self.pass(number, of: exchange) }
    }

    private func pass(_ number: Int, of exchange: SimExchange) {
        let script = exchange.script
        exchange.evidence.response = .success(complete: false)
        exchange.evidence.visibleOutput += script.piece
        self.world.truth.served(exchange.hold, output: exchange.evidence.visibleOutput)
        if script.pieceEvery >= .milliseconds(500) { self.tellProgress(exchange) }
        guard number < script.pieces else {
            return self.after(.milliseconds(self.world.random.between(0, 20))) { self.finish(exchange) }
        }
        self.after(script.pieceEvery) { self.piece(number + 1, of: exchange) }
    }

    private func tellProgress(_ exchange: SimExchange) {
        let output = exchange.evidence.visibleOutput
        guard exchange.isOpened, output > exchange.outputTold else { return }
        exchange.outputTold = output
        let charge = SimPrice.charge(
            Usage(input: exchange.input, output: output), .proxyDied, hold: exchange.grant)
        let posted = exchange.posted(charge)
        let progress = JournalProgress(output: output, charge: posted, shadow: charge.amount)
        if self.journal.progress(exchange.hold, progress) == .written {
            self.world.truth.journaled(exchange.hold, posted.amount, shadow: charge.amount)
            self.wrote()
        }
        self.sessions[exchange.session].progressed(exchange.hold, posted.amount)
    }

    private func endEarly(_ exchange: SimExchange) {
        switch exchange.script.end {
        case .timeout:
            self.world.count(.upstreamTimeout)
            self.end(exchange, .upstreamTimeout)
        case .errorPartial:
            self.world.count(.upstreamError)
            exchange.evidence.response = .error(complete: false)
            self.end(exchange, .upstreamCut)
        default:
            self.world.count(.upstreamError)
            exchange.evidence.response = .error(complete: true)
            self.end(exchange, .upstreamEnded)
        }
    }

    private func finish(_ exchange: SimExchange) {
        guard self.exchanges[exchange.hold] != nil, !exchange.machine.isSettled else { return }
        let script = exchange.script
        switch script.end {
        case .cut:
            self.world.count(.upstreamCut)
            return self.end(exchange, .upstreamCut)
        case .usageMissing: self.world.count(.usageMissing)
        case .usageMalformed:
            self.world.count(.usageMalformed)
            exchange.evidence.usage = .distrusted(.malformed)
        default:
            if exchange.input + script.reported > exchange.grant.value { self.world.count(.usageAboveHold) }
            exchange.evidence.usage = .reported(Usage(input: exchange.input, output: script.reported))
        }
        exchange.evidence.response = .success(complete: true)
        self.end(exchange, .upstreamEnded)
    }

    // MARK: The outcome

    func end(_ exchange: SimExchange, _ cause: EndCause) {
        let action = exchange.machine.end(cause, exchange.evidence, inputEstimate: exchange.input)
        let settlement: Settlement
        switch action {
        case .ignoreDuplicate: return
        case .void:
            settlement = self.settlement(exchange, .void, .zero, .zero, nil)
        case .capture(let usage, let hold, let reason):
            settlement = self.settlement(
                exchange, .final, usage, SimPrice.charge(usage, reason, hold: hold), reason)
        }
        self.exchanges[exchange.hold] = nil
        self.world.truth.decided(settlement, atMilliseconds: self.world.nowMilliseconds)
        guard self.world.has(.journalBeforeLastByte) else {
            // The client has it all, and the outcome follows later: when the process is gone, it never does.
            self.world.truth.clientSawEnd(exchange.hold)
            return self.after(.milliseconds(self.world.random.between(1, 300))) {
                self.record(settlement, of: exchange)
            }
        }
        // Without room in the journal the last piece waits for the ledger (C10).
        if self.record(settlement, of: exchange) {
            self.world.truth.clientSawEnd(exchange.hold)
        } else {
            self.withheld.insert(exchange.hold)
        }
    }

    /// - Returns: whether it is in the journal.
    @discardableResult
    private func record(_ settlement: Settlement, of exchange: SimExchange) -> Bool {
        let reserved = exchange.isOpened || exchange.hasReservation
        exchange.hasReservation = false
        let sequence = self.record(settlement, reserved: reserved)
        if settlement.kind == .void {
            self.sessions[exchange.session].release(exchange.hold, isRecorded: true)
        } else {
            self.sessions[exchange.session].capture(settlement)
        }
        return sequence != nil
    }

    private func settlement(
        _ exchange: SimExchange, _ kind: Settlement.Kind, _ usage: Usage, _ charge: Charge,
        _ reason: EstimateReason?
    ) -> Settlement {
        Settlement(
            account: exchange.account, hold: exchange.hold, owner: self.boot,
            kind: exchange.isWaived && kind != .void ? .waived : kind, authority: .owner,
            endpoint: .chat, modelRequested: "gpt-sim", priceID: SimPrice.model.priceID, usage: usage,
            charge: exchange.posted(charge), shadow: charge.amount, estimatedBecause: reason,
            occurredAtMilliseconds: exchange.startedAtMilliseconds)
    }
}
