import Metering
import Testing

/// Whatever the order of answers, bytes and ends: a key is kept, freed or left alone once.
@Suite struct IdempotentRunTests {
    typealias Answer = Result<ClaimAnswer, ClaimFailure>

    static let reply = KeptReply(status: 200, fields: Array("a: b\r\n".utf8), body: [1, 2, 3])
    static let answers: [Answer] = [
        .success(.claimed), .success(.running), .success(.otherRequest), .success(.finished(reply)),
        .success(.notKept), .failure(.notClaimed), .failure(.unknown),
    ]

    static func run(max: Int = 10) -> IdempotentRun { IdempotentRun(replyBytesMax: max, renewsEvery: 20) }

    @Test(
        arguments: zip(
            answers,
            [
                .run, .refuse(.inProgress), .refuse(.otherRequest), .replay(reply), .refuse(.notKept),
                .refuse(.unavailable), .refuseAndFree(.unavailable),
            ] as [IdempotentRun.ClaimedAction]))
    func eachAnswerHasItsAction(_ answer: Answer, _ action: IdempotentRun.ClaimedAction) {
        var run = Self.run()
        #expect(run.answered(answer, now: 0) == action)
        #expect(run.isRunning == (action == .run))
        #expect(run.answered(.success(.claimed), now: 0) == .ignore, "answered twice")
        #expect(run.ended(isWhole: true) == (action == .run ? .keep : .nothing))
        #expect(run.ended(isWhole: true) == .nothing, "the first end counts")
    }

    /// The client left while the ledger was asked: what may have been claimed for it is freed, nothing else.
    @Test(arguments: answers) func aLateAnswerLeavesNothingBehind(_ answer: Answer) {
        var run = Self.run()
        #expect(run.ended(isWhole: false) == .nothing)
        let mayBeOurs = answer == .success(.claimed) || answer == .failure(.unknown)
        #expect(run.answered(answer, now: 0) == (mayBeOurs ? .free : .ignore))
        #expect(run.state == .over)
        #expect(run.mustRenew(now: 1000) == false)
    }

    @Test func theLeaseIsRenewedWhileItRuns() {
        var run = Self.run()
        #expect(run.mustRenew(now: 100) == false, "nothing is claimed yet")
        _ = run.answered(.success(.claimed), now: 100)
        for (now, isDue) in [(119, false), (120, true), (120, false), (139, false), (140, true)] {
            #expect(run.mustRenew(now: Int64(now)) == isDue, "at \(now)")
        }
        _ = run.ended(isWhole: true)
        #expect(run.mustRenew(now: 1000) == false)
    }

    @Test func aReplyIsCopiedUpToItsLimit() {
        var run = Self.run(max: 10)
        #expect(run.passed(bytes: 1) == .ignore, "nothing is claimed yet")
        _ = run.answered(.success(.claimed), now: 0)
        for bytes in [4, 6] { #expect(run.passed(bytes: bytes) == .copy) }
        var whole = run
        #expect(whole.ended(isWhole: true) == .keep)
        for action in [IdempotentRun.CopyAction.drop, .ignore] { #expect(run.passed(bytes: 1) == action) }
        #expect(run.ended(isWhole: true) == .withoutReply, "it was charged: it does not run again")
    }

    @Test func aCopyThatFindsNoMemoryIsGivenUp() {
        var run = Self.run()
        _ = run.answered(.success(.claimed), now: 0)
        #expect(run.passed(bytes: 4) == .copy)
        run.hasNoRoom()
        #expect(run.passed(bytes: 1) == .ignore)
        #expect(run.ended(isWhole: true) == .withoutReply)
    }

    /// Also of one that was too large: what broke off is tried again.
    @Test func aReplyThatBrokeOffFreesItsKey() {
        var run = Self.run()
        _ = run.answered(.success(.claimed), now: 0)
        _ = run.passed(bytes: 100)
        #expect(run.ended(isWhole: false) == .free)
    }
}
