import Metering
import NIOPosix

@testable import Proxy

/// Runs under an `Idempotency-Key` in memory, answered by another thread, as the database's are. When `isHeld`, claims
/// are answered once the test says so.
final class FakeReplies: ReplyKeeping {
    enum Row: Sendable, Equatable {
        case running
        case finished(KeptReply)
        case unkept
    }

    struct State: Sendable {
        var rows: [[UInt8]: (fingerprint: [UInt8], hold: HoldID, row: Row)] = [:]
        var isHeld = false
        var held: [@Sendable () -> Void] = []
        var claims = 0
        var renewals = 0
        /// Ends as they came, those that failed included.
        var ends: [RunEnd] = []
        /// So many of the next ends do not get through.
        var endsToFail = 0
        /// Every claim fails so; when `.unknown`, it is noted nevertheless.
        var failure: ClaimFailure?

        var only: Row? { self.rows.count == 1 ? self.rows.values.first?.row : nil }
    }

    let watched = Watched(State())

    func claim(
        _ claim: KeyClaim, reply: @escaping @Sendable (Result<ClaimAnswer, ClaimFailure>) -> Void
    ) {
        let answer = self.watched.update { state -> @Sendable () -> Void in
            state.claims += 1
            let answer = Self.answer(claim, &state)
            let failure = state.failure
            return { reply(failure.map { .failure($0) } ?? .success(answer)) }
        }
        let isHeld = self.watched.update { state in
            if state.isHeld { state.held.append(answer) }
            return state.isHeld
        }
        if !isHeld { MultiThreadedEventLoopGroup.singleton.any().execute(answer) }
    }

    private static func answer(_ claim: KeyClaim, _ state: inout State) -> ClaimAnswer {
        let secrets = claim.secrets[0]
        if let known = state.rows[secrets.digest] {
            guard known.fingerprint == secrets.fingerprint else { return .otherRequest }
            switch known.row {
            case .running: return .running
            case .finished(let reply): return .finished(reply)
            case .unkept: return .notKept
            }
        }
        if state.failure != .notClaimed {
            state.rows[secrets.digest] = (secrets.fingerprint, claim.hold, .running)
        }
        return .claimed
    }

    func answerHeld() {
        let held = self.watched.update { state in
            defer { state.held = [] }
            state.isHeld = false
            return state.held
        }
        for answer in held { answer() }
    }

    func renew(_ claim: KeyClaim) { self.watched.update { $0.renewals += 1 } }

    func end(_ claim: KeyClaim, _ end: RunEnd, reply: @escaping @Sendable (Bool) -> Void) {
        let isDone = self.watched.update { state in
            state.ends.append(end)
            if state.endsToFail > 0 {
                state.endsToFail -= 1
                return false
            }
            let digest = claim.secrets[0].digest
            guard state.rows[digest]?.hold == claim.hold, state.rows[digest]?.row == .running else {
                return true
            }
            switch end {
            case .keep(let reply): state.rows[digest]?.row = .finished(reply)
            case .withoutReply: state.rows[digest]?.row = .unkept
            case .free: state.rows[digest] = nil
            }
            return true
        }
        MultiThreadedEventLoopGroup.singleton.any().execute { reply(isDone) }
    }
}
