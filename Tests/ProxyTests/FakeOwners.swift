import Metering
import NIOPosix

@testable import Proxy

/// Whose the stored responses are, in memory; answers on another thread, as the stores do.
final class FakeOwners: ResponseOwners {
    struct State: Sendable {
        var known: [ResponseID: StoredResponse] = [:]
        /// In the order in which it was told.
        var told: [StoredResponse] = []
        var asked = 0
        var isAway = false
        var isHeld = false
        var held: [@Sendable () -> Void] = []
    }

    let watched = Watched(State())

    func remember(_ response: StoredResponse) {
        self.watched.update { state in
            state.known[response.id] = response
            state.told.append(response)
        }
    }

    func find(
        _ id: ResponseID, of account: AccountID,
        reply: @escaping @Sendable (Result<StoredResponse?, DirectoryFailure>) -> Void
    ) {
        let waits = self.watched.update { state in
            state.asked += 1
            let answer: Result<StoredResponse?, DirectoryFailure> =
                state.isAway
                ? .failure(.unreachable)
                : .success(state.known[id].flatMap { $0.account == account ? $0 : nil })
            let say: @Sendable () -> Void = { reply(answer) }
            if state.isHeld { state.held.append(say) }
            return state.isHeld ? nil : say
        }
        if let waits { MultiThreadedEventLoopGroup.singleton.any().execute(waits) }
    }

    func answerHeld() {
        let held = self.watched.update { state in
            defer { state.held = [] }
            state.isHeld = false
            return state.held
        }
        for say in held { say() }
    }
}
