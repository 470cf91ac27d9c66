import Metering
import MoneyPath

/// Holds that grow while their exchange runs (A11).
extension SimProcess {
    /// A rolling hold covers the next piece before it passes.
    func needed(of exchange: SimExchange, at number: Int, _ then: @escaping () -> Void) {
        let script = exchange.script
        let output =
            number == script.pieces ? script.outputMax : exchange.evidence.visibleOutput + script.piece
        guard script.rolls, exchange.input + output > exchange.grant.value else { return then() }
        let total = Millicredits(exchange.input + output + self.world.random.between(0, 30))
        exchange.extending = (total, then)
        self.world.tell(exchange.hold, "\(self.name): EXTEND to \(total)")
        if !self.sessions[exchange.session].extend(exchange.hold, to: total) {
            self.extended(exchange.hold, .unknown)
        }
    }

    /// The session answered. A denial, or none, ends the stream: it may not be served more than was set aside.
    func extended(_ hold: HoldID, _ answer: ExtendAnswer) {
        guard let exchange = self.exchanges[hold], let waiting = exchange.extending else { return }
        exchange.extending = nil
        self.world.tell(hold, "\(self.name): extended \(answer)")
        switch answer {
        case .granted(let total):
            self.world.count(.extended)
            if total < waiting.total { self.world.fail("EXTEND granted less than was asked", hold: hold) }
            exchange.grant = total
            exchange.machine.extended(to: total)
            self.world.truth.granted(hold, total)
            return waiting.then()
        case .unknown: self.world.count(.extendUnknown)
        case .capReached:
            self.world.count(.extendDenied)
            self.world.count(.capRefused)
        case .short, .blocked, .takenOver: self.world.count(.extendDenied)
        }
        self.end(exchange, .upstreamCut)
    }
}
