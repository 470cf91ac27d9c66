import LedgerSim
import Metering
import MoneyPath

@testable import RedisHolds

/// One command to the hold store, for the model and for Redis, with the time at which it arrives there.
struct StoreStep: Sendable {
    enum Act: Sendable {
        case command(HoldCommand)
        case extend(HoldID, of: AccountID, total: Millicredits, progress: Millicredits?, SpendCaps)
        case reap(HoldID, of: AccountID, dead: HoldOwner)
        case evict(AccountID, idleSeconds: Int64)
    }

    /// Noon of some day, in milliseconds since 1970.
    static let noon: Int64 = 1_763_942_400_000

    var act: Act
    var fence = HoldFence(loop: "A.0", generation: 1, raise: false)
    var epoch = "E"
    var owner = bootA
    var lease = Span.seconds(30)
    var now = StoreStep.noon

    func at(_ milliseconds: Int64) -> StoreStep { self.with { $0.now = Self.noon + milliseconds } }
    func by(_ owner: BootID) -> StoreStep { self.with { $0.owner = owner } }
    func under(_ epoch: String) -> StoreStep { self.with { $0.epoch = epoch } }
    func leased(_ milliseconds: Int64) -> StoreStep { self.with { $0.lease = .milliseconds(milliseconds) } }
    func from(_ generation: Int64, raise: Bool = false) -> StoreStep {
        self.with { $0.fence = HoldFence(loop: "A.0", generation: generation, raise: raise) }
    }

    private func with(_ change: (inout StoreStep) -> Void) -> StoreStep {
        var step = self
        change(&step)
        return step
    }

    var account: AccountID {
        switch self.act {
        case .command(let command):
            command.account ?? { preconditionFailure("StepMaker makes commands of its account only") }()
        case .extend(_, let account, _, _, _), .reap(_, let account, _), .evict(let account, _): account
        }
    }

    /// Name of the script.
    var name: StaticString { self.wording.script.name }

    func run(on node: inout StoreNode) -> StoreAnswer {
        switch self.act {
        case .command(let command):
            return .reply(
                node.execute(
                    command, fence: self.fence, epoch: self.epoch, owner: self.owner, lease: self.lease,
                    nowMilliseconds: self.now))
        case .extend(let hold, let account, let total, let progress, let caps):
            return .reply(
                node.extend(
                    hold, of: account, total: total, progress: progress, caps: caps, fence: self.fence,
                    owner: self.owner, lease: self.lease, nowMilliseconds: self.now))
        case .reap(let hold, let account, let dead):
            return .reaped(
                node.reap(
                    hold: hold, of: account, dead: dead, by: self.owner, lease: self.lease,
                    nowMilliseconds: self.now))
        case .evict(let account, let seconds):
            return .evicted(node.evict(account, idleSecondsMin: seconds, nowMilliseconds: self.now))
        }
    }
}

/// What a step was answered, wherever it ran.
enum StoreAnswer: Equatable {
    case reply(HoldReply)
    case reaped(ReapReply)
    case evicted(Bool)
    /// Redis said something that no script says.
    case odd(Answer)

    init(_ answer: Answer, to step: StoreStep) {
        switch (step.act, answer) {
        case (.reap, .null): self = .reaped(.kept)
        case (.reap, .error("ERR")): self = .reaped(.aborted)
        case (.reap, .texts(let texts)):
            self = ReapedHold(texts).map { .reaped(.taken($0)) } ?? .odd(answer)
        case (.evict, .integer(let gone)): self = .evicted(gone == 1)
        case (.command(.load), .texts(let texts)):
            let holds = stride(from: 1, to: texts.count, by: 2).compactMap {
                HoldID(text: texts[$0].dropFirst(2))
            }
            self = .reply(.listing(incarnation: texts[0], holds.sorted()))
        case (_, .integer(let number)): self = .reply(.numbers(HoldNumbers(number)))
        case (_, .integers(let numbers)):
            self = .reply(.numbers(HoldNumbers(count: numbers.count) { numbers[$0] }))
        case (_, .error("ERR")): self = .reply(.refused(.unknown))
        default: self = .odd(answer)
        }
    }

    /// The first number of an answer; what a test counts.
    var code: Int64? {
        switch self {
        case .reply(let reply): reply.code
        case .reaped(let reply): reply.taken == nil ? 0 : 1
        case .evicted(let isGone): isGone ? 1 : 0
        case .odd: nil
        }
    }
}

extension ReapedHold {
    /// {amount, placed, input estimate|price id|endpoint|progress}
    fileprivate init?(_ texts: [String]) {
        guard texts.count == 3, let amount = Int64(texts[0]), let placed = Int64(texts[1]) else { return nil }
        let meta = texts[2].split(separator: "|", omittingEmptySubsequences: false)
        guard meta.count >= 4, let estimate = Int64(meta[0].prefix { $0 != "," }),
            let endpoint = Endpoint(rawValue: String(meta[meta.count - 2]))
        else { return nil }
        let progress = Int64(meta[meta.count - 1])
        guard progress != nil || meta[meta.count - 1].isEmpty else { return nil }
        self.init(
            amount: Millicredits(amount), placed: placed, inputEstimate: Millicredits(estimate),
            priceID: meta[1..<(meta.count - 2)].joined(separator: "|"), endpoint: endpoint,
            progress: progress.map { Millicredits($0) })
    }
}
