import Metering
import Testing

@testable import MoneyPath

@Suite struct HoldTrackTests {
    private func placed() -> HoldTrack {
        var track = HoldTrack()
        track.placeSent()
        return track
    }

    private func held() -> HoldTrack {
        var track = self.placed()
        _ = track.granted(Millicredits(10))
        return track
    }

    @Test func aGrantIsAnsweredOnce() {
        var track = self.placed()
        #expect(track.granted(Millicredits(10)) == .answer)
        #expect(track.granted(Millicredits(10)) == .ignore)
        #expect(track.phase == .held && track.amount == Millicredits(10))
    }

    @Test func aGrantAfterTheDeadlineIsGivenBack() {
        var track = self.placed()
        #expect(track.gaveUp() == .answerAndWait)
        #expect(track.gaveUp() == .ignore)
        #expect(track.granted(Millicredits(10)) == .giveBack)
        #expect(track.releaseAnswered(gone: false) == .forget)
        #expect(track.phase == .over)
    }

    @Test func aRefusalAfterTheDeadlineLeavesNothing() {
        var track = self.placed()
        _ = track.gaveUp()
        #expect(track.notGranted() == .forget && track.phase == .over)
    }

    /// It waits for the ledger; nothing is under way.
    @Test func aDeadlineBetweenTwoPlacesLeavesNothing() {
        var track = self.placed()
        #expect(track.notGranted() == .decide)
        #expect(track.gaveUp() == .answerAndForget && track.phase == .over)
    }

    @Test func theFirstEndStands() {
        var track = self.held()
        #expect(track.capture() == true)
        #expect(track.capture() == false)
        #expect(track.release(isRecorded: true) == .ignore)
        var other = self.held()
        #expect(other.release(isRecorded: true) == .send)
        #expect(other.capture() == false)
    }

    /// K4, in its whole: who owes a VOID, and when.
    @Test func onlyAnUnknownPlaceThatIsGoneIsVoided() {
        var unknown = self.placed()
        #expect(unknown.connectionLost() == .answerAndRelease)
        #expect(unknown.releaseAnswered(gone: true) == .recordVoid)
        #expect(unknown.releaseAnswered(gone: true) == .ignore)

        var found = self.placed()
        _ = found.connectionLost()
        #expect(found.releaseAnswered(gone: false) == .forget)

        var released = self.held()
        _ = released.release(isRecorded: true)
        #expect(released.connectionLost() == .keep)
        #expect(released.releaseAnswered(gone: true) == .forget)

        var abandoned = self.placed()
        _ = abandoned.gaveUp()
        #expect(abandoned.connectionLost() == .keep && abandoned.phase == .givingBack)
        #expect(abandoned.releaseAnswered(gone: true) == .recordVoid)
    }

    @Test func aDeadConnectionKeepsEveryEndAndEveryHold() {
        var track = self.held()
        #expect(track.connectionLost() == .keep && track.phase == .held)
        _ = track.capture()
        #expect(track.connectionLost() == .keep && track.phase == .captured)
        #expect(track.captureAnswered(wrote: true) == .forget)
        #expect(track.connectionLost() == .forget)
        var waiting = self.placed()
        _ = waiting.notGranted()
        #expect(waiting.connectionLost() == .answerAndForget)
    }

    /// K6: POSTED may have come between the REASSERT and the CAPTURE.
    @Test func aCaptureBehindAReassertIsVerified() {
        var track = self.held()
        track.reassertSent()
        _ = track.capture()
        #expect(track.captureAnswered(wrote: true) == .verifyThenForget)

        var acknowledged = self.held()
        acknowledged.reassertSent()
        acknowledged.reassertAnswered()
        _ = acknowledged.capture()
        #expect(acknowledged.captureAnswered(wrote: true) == .forget)

        var nothingWritten = self.held()
        nothingWritten.reassertSent()
        _ = nothingWritten.capture()
        #expect(nothingWritten.captureAnswered(wrote: false) == .forget)

        // The REASSERT is still somewhere on a dead connection when the hold ends.
        var lingering = self.held()
        lingering.reassertSent()
        _ = lingering.connectionLost()
        _ = lingering.capture()
        #expect(lingering.captureAnswered(wrote: true) == .verifyThenForget)
    }
}
