import Metering
import PostgresLedger
import RedisHolds

/// Whose the stored responses are: Redis knows those of the last hour, the ledger all that were settled.
struct StoresOfResponses: ResponseOwners {
    typealias Answer = Result<StoredResponse?, DirectoryFailure>

    let recent: RedisStoredResponses
    let ledger: PostgresLedger

    func remember(_ response: StoredResponse) { self.recent.remember(response) }

    func find(_ id: ResponseID, of account: AccountID, reply: @escaping @Sendable (Answer) -> Void) {
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
