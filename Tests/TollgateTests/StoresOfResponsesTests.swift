import Metering
import Testing

@testable import Tollgate

/// That there is no such response is said only when it is known.
@Suite struct StoresOfResponsesTests {
    typealias Answer = StoresOfResponses.Answer

    @Test func theTwoStoresAnswerTogether() throws {
        let id = try #require(ResponseID("resp_1"))
        let mine = StoredResponse(id: id, account: 1, model: "m")
        let strangers = StoredResponse(id: id, account: 2, model: "m")
        let (none, away): (Answer, Answer) = (.success(nil), .failure(.unreachable))
        let cases: [(recent: Answer, settled: Answer, verdict: Answer)] = [
            (none, .success(mine), .success(mine)), (away, .success(mine), .success(mine)),
            (none, .success(strangers), none), (away, .success(strangers), none),
            (none, none, none), (away, none, away), (none, away, away), (away, away, away),
        ]
        for (recent, settled, verdict) in cases {
            #expect(StoresOfResponses.verdict(recent: recent, settled: settled, 1) == verdict)
        }
    }
}
