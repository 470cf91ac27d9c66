import Metering
import PostgresLedger
import RedisHolds

/// Whose the stored responses are: Redis knows those of the last hour, the ledger all that were settled.
struct StoresOfResponses: ResponseOwners {
    typealias Answer = Result<StoredResponse?, DirectoryFailure>

    let recent: RedisStoredResponses
    let ledger: PostgresLedger

    func remember(_ response: StoredResponse) { self.recent.remember(response) }

    /// Until a response that nobody knows is asked for again: what an instance says of its responses travels beside
    /// their replies, and a client of another instance can be faster. Another account's takes as long, so that the time
    /// of an answer tells nothing either.
    private static let pauses: [Duration] = [.milliseconds(30), .milliseconds(120), .milliseconds(350)]

    func find(_ id: ResponseID, of account: AccountID, reply: @escaping @Sendable (Answer) -> Void) {
        self.find(id, of: account, pauses: Self.pauses[...], reply)
    }

    private func find(
        _ id: ResponseID, of account: AccountID, pauses: ArraySlice<Duration>,
        _ reply: @escaping @Sendable (Answer) -> Void
    ) {
        self.ask(id, of: account) { answer in
            guard case .success(nil) = answer, let pause = pauses.first else { return reply(answer) }
            self.recent.after(pause) { self.find(id, of: account, pauses: pauses.dropFirst(), reply) }
        }
    }

    private func ask(
        _ id: ResponseID, of account: AccountID, _ reply: @escaping @Sendable (Answer) -> Void
    ) {
        let ledger = self.ledger
        self.recent.find(id, of: account) { recent in
            if case .success(.some) = recent { return reply(recent) }
            ledger.storedResponse(id) { settled in
                reply(Self.verdict(recent: recent, settled: settled, account))
            }
        }
    }

    /// What both stores say together, when Redis does not know the account to have such a response. That there is none
    /// is only known when both say so; another account's is as good as none.
    static func verdict(recent: Answer, settled: Answer, _ account: AccountID) -> Answer {
        switch settled {
        case .success(let response?): .success(response.account == account ? response : nil)
        case .success(nil): recent
        case .failure(let failure): .failure(failure)
        }
    }
}
