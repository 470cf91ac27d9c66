import Metering
import NIOCore

/// What an exchange with an `Idempotency-Key` has besides: its claim, and a copy of its reply.
final class KeyedRun {
    let claim: KeyClaim
    private(set) var run: IdempotentRun
    /// Upstream's end came: the reply is whole.
    var hasEnded = false
    /// Field lines of upstream's that go to the client.
    var fields: [UInt8] = []
    private var body = ByteBuffer()
    /// Bytes of the copy that count against the process' budget.
    private var counted = 0
    private let budget: ByteBudget

    init(_ claim: KeyClaim, _ configuration: DataPlaneConfiguration, budget: ByteBudget) {
        self.claim = claim
        self.budget = budget
        self.run = IdempotentRun(
            replyBytesMax: configuration.limits.keptReplyBytesMax,
            renewsEvery: configuration.timeouts.idempotencyRenewal.nanoseconds / 1_000_000)
    }

    static func milliseconds(_ time: NIODeadline) -> Int64 { Int64(time.uptimeNanoseconds / 1_000_000) }

    func answered(_ answer: Result<ClaimAnswer, ClaimFailure>) -> IdempotentRun.ClaimedAction {
        self.run.answered(answer, now: Self.milliseconds(.now()))
    }

    func mustRenew(_ now: NIODeadline) -> Bool { self.run.mustRenew(now: Self.milliseconds(now)) }

    /// Bytes of the body go to the client; `write` writes them without framing.
    func passed(_ count: Int, _ write: (inout ByteBuffer) -> Void) {
        switch self.run.passed(bytes: count) {
        case .copy:
            self.counted += count
            if self.budget.add(count) {
                write(&self.body)
            } else {
                self.run.hasNoRoom()
                self.drop()
            }
        case .drop: self.drop()
        case .ignore: break
        }
    }

    func ended(isWhole: Bool) -> IdempotentRun.EndAction { self.run.ended(isWhole: isWhole) }

    /// Hands over the copy, and with it the bytes that the taker has to give back to the budget.
    func takeBody() -> (bytes: [UInt8], counted: Int) {
        defer {
            self.body = ByteBuffer()
            self.counted = 0
        }
        return (Array(self.body.readableBytesView), self.counted)
    }

    func drop() {
        self.body = ByteBuffer()
        self.budget.subtract(self.counted)
        self.counted = 0
    }
}
