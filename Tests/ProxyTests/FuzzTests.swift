import Foundation
import Testing

@testable import Proxy

/// Our reader against NIOHTTP1's: it must never take what the other one refuses, and where both take something they
/// must agree on what it is and where it ends. `TOLLGATE_FUZZ_SECONDS` (4) says for how long, `TOLLGATE_FUZZ_SEED` where
/// to begin; a disagreement prints the seed of its case.
@Suite(.serialized) struct FuzzTests {
    static var seconds: Double {
        getenv("TOLLGATE_FUZZ_SECONDS").flatMap { Double(String(cString: $0)) } ?? 4
    }
    static var seed: UInt64 {
        getenv("TOLLGATE_FUZZ_SEED").flatMap { UInt64(String(cString: $0)) }
            ?? UInt64.random(in: 0...(.max >> 1))
    }

    struct Tally {
        var cases = 0
        var bothTook = 0
        var weRefused = 0
        var disagreements: [String] = []
    }

    /// On a thread of its own: the tests beside it need those of Swift's pool, and time of their own.
    private func run(_ name: String, _ one: @escaping @Sendable (UInt64, inout Tally) -> Void) async {
        let tally = await withCheckedContinuation { done in
            Thread.detachNewThread { done.resume(returning: self.repeatedly(name, one)) }
        }
        for disagreement in tally.disagreements { Issue.record("\(disagreement)") }
        // A generator that makes nothing acceptable finds nothing.
        #expect(tally.bothTook * 10 > tally.cases, "too little of it is HTTP")
    }

    private func repeatedly(_ name: String, _ one: (UInt64, inout Tally) -> Void) -> Tally {
        let first = Self.seed
        var tally = Tally()
        let end = ContinuousClock.now + .seconds(Self.seconds / 2)
        repeat {
            // The clock is asked now and then only.
            for _ in 0..<100 where tally.disagreements.count < 5 {
                one(first &+ UInt64(tally.cases), &tally)
                tally.cases += 1
            }
        } while ContinuousClock.now < end && tally.disagreements.count < 5
        print(
            "fuzz \(name): seed \(first), \(tally.cases) cases, \(tally.bothTook) messages taken by both, "
                + "\(tally.weRefused) refused by us alone")
        return tally
    }

    @Test func requestsEndWhereTheReferenceSays() async {
        await self.run("requests") { seed, tally in
            var messages = FuzzMessages(random: SeededRandom(seed: seed))
            let bytes = messages.requests()
            let ours = StrictReader.requests(bytes)
            self.compare(ours, ReferenceReader.requests(bytes), bytes, seed, &tally)
            let cuts = self.cuts(bytes.count, &messages.random)
            let cut = StrictReader.requests(bytes, cuts: cuts)
            if cut != ours { self.report("cut at \(cuts): \(cut), whole: \(ours)", bytes, seed, &tally) }
        }
    }

    @Test func responsesEndWhereTheReferenceSays() async {
        await self.run("responses") { seed, tally in
            var messages = FuzzMessages(random: SeededRandom(seed: seed))
            let bytes = messages.responses()
            let ours = StrictReader.responses(bytes)
            self.compare(ours, ReferenceReader.responses(bytes, count: 4), bytes, seed, &tally)
            let cuts = self.cuts(bytes.count, &messages.random)
            let cut = StrictReader.responses(bytes, cuts: cuts)
            if cut != ours { self.report("cut at \(cuts): \(cut), whole: \(ours)", bytes, seed, &tally) }
        }
    }

    private func cuts(_ count: Int, _ random: inout SeededRandom) -> [Int] {
        (0..<Int.random(in: 1...4, using: &random)).map { _ in
            Int.random(in: 0..<max(1, count), using: &random)
        }.sorted()
    }

    private func compare(
        _ ours: ReadMessages, _ theirs: ReadMessages, _ bytes: [UInt8], _ seed: UInt64, _ tally: inout Tally
    ) {
        tally.bothTook += min(ours.messages.count, theirs.messages.count)
        if ours.end == .rejected, theirs.end != .rejected { tally.weRefused += 1 }
        guard ours.messages.count <= theirs.messages.count else {
            self.report(
                "we took a message that the reference did not: \(ours) against \(theirs)", bytes, seed, &tally
            )
            return
        }
        for (mine, other) in zip(ours.messages, theirs.messages) where mine != other {
            self.report("one message, read as two: \(mine) against \(other)", bytes, seed, &tally)
            return
        }
        if ours.end == .incomplete, theirs.messages.count > ours.messages.count {
            self.report(
                "we wait for an end that the reference has seen: \(ours) against \(theirs)", bytes, seed,
                &tally)
        }
    }

    private func report(_ what: String, _ bytes: [UInt8], _ seed: UInt64, _ tally: inout Tally) {
        let text = String(decoding: bytes, as: UTF8.self).debugDescription
        tally.disagreements.append("TOLLGATE_FUZZ_SEED=\(seed): \(what)\n\(text)")
    }
}
