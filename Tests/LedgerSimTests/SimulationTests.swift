import Testing

@testable import LedgerSim

/// The money path in worlds full of faults. The seeds are fixed here; `.ci/run` adds fresh ones.
@Suite struct SimulationTests {
    @Test(arguments: SimProfile.allCases) func nothingIsLostInAnyWorld(_ profile: SimProfile) {
        for seed in 1...40 as ClosedRange<UInt64> {
            var settings = SimSettings(seed: seed, steps: 2_000)
            settings.profile = profile
            let report = Simulation.runWithStory(settings)
            guard let failure = report.failure else { continue }
            Issue.record(
                "\(profile) seed \(seed): \(failure.description)\n\(report.story.joined(separator: "\n"))")
            return
        }
    }

    /// The same seed has to be the same world, or a failure could not be looked at.
    @Test func aSeedIsAlwaysTheSameWorld() {
        for seed in 1...5 as ClosedRange<UInt64> {
            let runs = (0..<2).map { _ in Simulation.run(SimSettings(seed: seed, steps: 2_000)) }
            #expect(runs[0].steps == runs[1].steps && runs[0].faults == runs[1].faults)
            #expect(runs[0].settled == runs[1].settled && runs[0].granted == runs[1].granted)
        }
    }

    /// What is there for a fault has to happen, in each kind of world that has it.
    @Test func whatIsNewHappensOftenEnough() {
        var counts: [Fault: Int] = [:]
        for profile in SimProfile.allCases {
            for seed in 1...20 as ClosedRange<UInt64> {
                var settings = SimSettings(seed: seed, steps: 2_000)
                settings.profile = profile
                counts.merge(Simulation.run(settings).faults) { $0 + $1 }
            }
        }
        for fault in Fault.allCases { #expect(counts[fault, default: 0] >= 5, "\(fault)") }
    }

    /// What a simulator does not notice it does not test: without a guard some world must break, and the same world must
    /// be whole with it.
    @Test(arguments: GuardCase.all) func everyGuardIsMissed(_ guarded: GuardCase) {
        for seed in 1...guarded.seedsMax {
            var settings = SimSettings(seed: seed, steps: 2_000)
            settings.profile = guarded.profile
            let whole = settings
            let isKnown = settings.without.remove(guarded.name)
            #expect(isKnown)
            guard Simulation.run(settings).failure != nil else { continue }
            #expect(Simulation.run(whole).failure == nil, "\(guarded.name): seed \(seed) breaks with it, too")
            return
        }
        Issue.record("no world of \(guarded.seedsMax) missed \(guarded.name)")
    }
}

/// A guard, and the kind of world in which it is missed soonest.
struct GuardCase: Sendable, CustomTestStringConvertible {
    let name: String
    let profile: SimProfile
    let seedsMax: UInt64

    init(_ name: String, _ profile: SimProfile, within seedsMax: UInt64 = 60) {
        (self.name, self.profile, self.seedsMax) = (name, profile, seedsMax)
    }

    var testDescription: String { self.name }

    static let all = [
        GuardCase("session.lateGrantIsReleased", .network),
        GuardCase("session.reissue", .network),
        GuardCase("session.raiseFence", .network),
        GuardCase("session.epoch", .ledger),
        GuardCase("session.reassertOnLoss", .store),
        GuardCase("session.touch", .leases, within: 200),
        GuardCase("session.voidAfterUnknownPlace", .network, within: 600),
        GuardCase("session.verifyReassertedCapture", .network, within: 600),
        GuardCase("session.shortIsNeverFinal", .ledger),
        GuardCase("sweep.selfSweep", .store),
        GuardCase("sweep.reapBeforeSettling", .leases, within: 200),
        GuardCase("sweep.postCapturesOfTheDead", .hosts),
        GuardCase("ledger.primaryKey", .network),
        GuardCase("ledger.correctionKey", .leases, within: 600),
        GuardCase("ledger.everyInputCompared", .network),
        GuardCase("ledger.answersAllAccounts", .network),
        GuardCase("ledger.versionOnlyWithLine", .network),
        GuardCase("ledger.newGenerationAfterRollback", .ledger),
        GuardCase("world.journalBeforeLastByte", .hosts),
        GuardCase("world.openBeforeUpstream", .hosts),
        GuardCase("world.acknowledgeAfterPosted", .hosts, within: 300),
        GuardCase("world.recovery", .hosts),
        GuardCase("world.voidUnopened", .hosts, within: 300),
        GuardCase("world.replayGeneration", .ledger),
        GuardCase("world.sweep", .hosts),
        GuardCase("liveness.waitsForGrace", .leases),
        GuardCase("liveness.resetsAfterGap", .leases),
        GuardCase("store.placeCaps", .everything),
        GuardCase("store.extendCaps", .everything),
        GuardCase("store.extendAbsolute", .everything),
        GuardCase("store.placeNeedsFunds", .everything),
        GuardCase("store.extendNeedsFunds", .everything),
        GuardCase("store.postedSpends", .network),
        GuardCase("store.reapNeedsDeadline", .leases),
        GuardCase("store.placeWaivesFunds", .everything),
        GuardCase("store.placeCountsWaived", .everything),
        GuardCase("store.reassertCountsWaived", .network),
        GuardCase("store.waivedIsUncounted", .everything),
        GuardCase("store.initRecountsWaived", .store),
        GuardCase("store.captureSpendsShadow", .everything),
        GuardCase("store.postedSpendsShadow", .network),
        GuardCase("store.initKeepsLargerSpend", .store, within: 300),
        GuardCase("store.postedComparesAuthority", .hosts, within: 300),
    ]
}
