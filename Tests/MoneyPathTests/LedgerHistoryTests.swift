import Metering
import MoneyPath
import Testing

/// A ledger that was set back looks like any other; who knew it before can tell (rules P7, B8).
@Suite struct LedgerHistoryTests {
    private static func position(
        _ generation: Int64, _ flushed: Int64, timeline: Int64 = 1, origin: String = "here"
    ) -> LedgerPosition {
        LedgerPosition(origin: origin, timeline: timeline, generation: generation, flushed: flushed)
    }

    private static let known = position(10, 1_000, timeline: 3)

    @Test(arguments: [
        // The usual.
        (position(10, 1_000, timeline: 3), LedgerHistory.Action.advanced),
        (position(10, 1_001, timeline: 3), .advanced),
        // Another instance saw it first, or an operator said so; how far it is does not matter then.
        (position(11, 1, timeline: 3), .advanced),
        // In place, by a little, by so much that even the generation is lost.
        (position(10, 999, timeline: 3), .setBack(from: known)),
        (position(9, 2_000, timeline: 3), .setBack(from: known)),
        (position(9, 1, timeline: 4), .setBack(from: known)),
        // A promotion or a point-in-time recovery; the new timeline need not be the highest that there ever was.
        (position(11, 500, timeline: 4), .moved), (position(11, 500, timeline: 2), .moved),
        // The old primary goes on, and may come further than the new one was.
        (position(9, 5_000, timeline: 2), .replaced),
        // Nothing is concluded from another ledger.
        (position(1, 1, timeline: 1, origin: "there"), .moved),
    ])
    func whatAnAnswerMeans(_ position: LedgerPosition, _ action: LedgerHistory.Action) {
        var history = LedgerHistory(newest: Self.known)
        #expect(history.heard(position) == action)
        switch action {
        case .advanced, .moved: #expect(history.newest == position)
        case .setBack, .replaced: #expect(history.newest == Self.known, "it is asked again until it is known")
        }
    }

    @Test func theFirstAnswerIsTakenAsItIs() {
        var history = LedgerHistory()
        #expect(history.heard(Self.known) == .advanced && history.newest == Self.known)
    }

    /// Otherwise every heartbeat until it has caught up would have it raised once more.
    @Test func oneSetBackIsOneGeneration() {
        var history = LedgerHistory(newest: Self.known)
        let back = Self.position(10, 10, timeline: 3)
        #expect(history.heard(back) == .setBack(from: Self.known))
        history.raised(back, to: 77)
        #expect(history.heard(Self.position(77, 11, timeline: 3)) == .advanced)
        // And a second one is a second one.
        #expect(
            history.heard(Self.position(77, 10, timeline: 3))
                == .setBack(from: Self.position(77, 11, timeline: 3)))
    }
}
