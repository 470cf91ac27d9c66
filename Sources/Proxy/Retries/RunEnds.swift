import Metering
import NIOCore

/// Ends of runs under an `Idempotency-Key` on their way to the ledger, of one event loop: told again every second until
/// it has them. A reply is kept in memory for a minute; that there was one is told for as long as it takes.
final class RunEnds {
    private struct Telling {
        var claim: KeyClaim
        var end: RunEnd
        /// Bytes of the reply that count against the process' budget.
        var counted: Int
        var times = 0
        /// The ledger is being told.
        var isUnderWay = false
    }

    private let eventLoop: any EventLoop
    private let replies: any ReplyKeeping
    private let budget: ByteBudget
    private var tellings: [HoldID: Telling] = [:]

    /// With a ledger that is away, more than this many are not worth their memory.
    private static let tellingsMax = 4096
    private static let timesMax = 60

    init(_ eventLoop: any EventLoop, _ replies: any ReplyKeeping, budget: ByteBudget) {
        self.eventLoop = eventLoop
        self.replies = replies
        self.budget = budget
    }

    var count: Int { self.tellings.count }

    /// - Parameter counted: bytes of the reply; given back to the budget when the ledger has it.
    func tell(_ claim: KeyClaim, _ end: RunEnd, counted: Int = 0) {
        guard self.tellings.count < Self.tellingsMax else {
            self.budget.subtract(counted)
            return
        }
        self.tellings[claim.hold] = Telling(claim: claim, end: end, counted: counted)
        self.tell(claim.hold)
    }

    /// To be called once per second.
    func tellAgain() {
        for hold in Array(self.tellings.keys) { self.tell(hold) }
    }

    private func tell(_ hold: HoldID) {
        guard var telling = self.tellings[hold], !telling.isUnderWay else { return }
        telling.isUnderWay = true
        telling.times += 1
        self.tellings[hold] = telling
        let back = NIOLoopBound(self, eventLoop: self.eventLoop)
        let eventLoop = self.eventLoop
        self.replies.end(telling.claim, telling.end) { isDone in
            eventLoop.execute { back.value.told(hold, isDone: isDone) }
        }
    }

    private func told(_ hold: HoldID, isDone: Bool) {
        guard var telling = self.tellings[hold] else { return }
        if isDone {
            self.tellings[hold] = nil
            self.budget.subtract(telling.counted)
            return
        }
        telling.isUnderWay = false
        if case .keep = telling.end, telling.times >= Self.timesMax {
            telling.end = .withoutReply
            self.budget.subtract(telling.counted)
            telling.counted = 0
        }
        self.tellings[hold] = telling
    }
}
