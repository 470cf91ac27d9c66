import Foundation
import Testing

@testable import Proxy

/// Our reader against NIOHTTP1's: it must never take what the other one refuses, nor lose what the other one takes
/// unless it refuses it; and where both take something they must agree on what it is and where it ends. What is fuzzed
/// is put together of the parsers, so the connection that puts them together for real must read the same.
/// `TOLLGATE_FUZZ_SECONDS` (4) says for how long, `TOLLGATE_FUZZ_SEED` where to begin; a disagreement prints the seed
/// of its case.
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
        let end = ContinuousClock.now + .seconds(Self.seconds / 3)
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
            let theirs = ReferenceReader.requests(bytes, cuts: Self.around(ours))
            self.compare(ours, theirs, bytes, seed, &tally) { StrictReader.requests($0) }
            let cuts = self.cuts(bytes.count, &messages.random)
            let cut = StrictReader.requests(bytes, cuts: cuts)
            if cut != ours { self.report("cut at \(cuts): \(cut), whole: \(ours)", bytes, seed, &tally) }
        }
    }

    @Test func responsesEndWhereTheReferenceSays() async {
        await self.run("responses") { seed, tally in
            var messages = FuzzMessages(random: SeededRandom(seed: seed))
            let methods: [RequestHead.Method] = (0..<4).map { _ in messages.random.chance(25) ? .head : .get }
            let bytes = messages.responses()
            let ours = StrictReader.responses(bytes, methods: methods)
            let theirs = ReferenceReader.responses(bytes, methods: methods, cuts: Self.around(ours))
            self.compare(ours, theirs, bytes, seed, &tally) { StrictReader.responses($0, methods: methods) }
            let cuts = self.cuts(bytes.count, &messages.random)
            let cut = StrictReader.responses(bytes, cuts: cuts, methods: methods)
            if cut != ours { self.report("cut at \(cuts): \(cut), whole: \(ours)", bytes, seed, &tally) }
        }
    }

    /// The parsers are the same; what is new is how the connection puts them together.
    @Test func theConnectionReadsWhatTheReaderReads() async {
        await self.run("connection") { seed, tally in
            var messages = FuzzMessages(random: SeededRandom(seed: seed))
            let bytes = messages.responses()
            let ours = StrictReader.responses(bytes)
            tally.bothTook += ours.messages.count
            let cuts = self.cuts(bytes.count, &messages.random)
            do {
                let connection = try ConnectionReader.responses(
                    bytes, ends: ours.messages.map(\.end), cuts: cuts)
                guard connection != ours else { return }
                self.report("the connection: \(connection), the reader: \(ours)", bytes, seed, &tally)
            } catch {
                self.report("the connection: \(error), the reader: \(ours)", bytes, seed, &tally)
            }
        }
    }

    private func cuts(_ count: Int, _ random: inout SeededRandom) -> [Int] {
        (0..<Int.random(in: 1...4, using: &random)).map { _ in
            Int.random(in: 0..<max(1, count), using: &random)
        }.sorted()
    }

    /// Cuts before and behind the last byte of each message: who sees an end in such a read sees it where we do.
    private static func around(_ ours: ReadMessages) -> [Int] {
        ours.messages.flatMap { [$0.end - 1, $0.end] }
    }

    private func compare(
        _ ours: ReadMessages, _ theirs: ReadMessages, _ bytes: [UInt8], _ seed: UInt64, _ tally: inout Tally,
        read: ([UInt8]) -> ReadMessages
    ) {
        tally.bothTook += min(ours.messages.count, theirs.messages.count)
        if ours.end == .rejected, theirs.end != .rejected { tally.weRefused += 1 }
        func report(_ what: String) {
            self.report("\(what): \(ours) against \(theirs)", bytes, seed, &tally)
        }
        guard ours.messages.count <= theirs.messages.count else {
            return report("we took a message that the reference did not")
        }
        for (mine, other) in zip(ours.messages, theirs.messages) where mine != other {
            return report("one message, read as two")
        }
        switch ours.end {
        case .rejected, .closed: return
        case .clean, .incomplete: break
        }
        if theirs.messages.count > ours.messages.count {
            report("the reference took a message that we neither took nor refused")
        } else if theirs.end == .rejected {
            let benign = BenignDifference.allCases.first { $0.explains(ours, bytes, read) }
            if benign == nil { report("we go on where the reference refuses") }
        } else if (ours.end == .incomplete(.body)) != (theirs.end == .incomplete(.body)) {
            report("one waits for the end of a body, and one does not")
        }
    }

    /// Where the reference refuses, we do not (yet), and nothing can come of it.
    private enum BenignDifference: CaseIterable {
        /// llhttp refuses byte by byte; we judge a head when its last line is there, and until then do nothing of what
        /// it says: ended now, it is refused.
        case headIsJudgedAtItsEnd

        func explains(_ ours: ReadMessages, _ bytes: [UInt8], _ read: ([UInt8]) -> ReadMessages) -> Bool {
            switch self {
            case .headIsJudgedAtItsEnd:
                guard ours.end == .incomplete(.head) else { return false }
                let ended = read(bytes + Array("\r\n\r\n".utf8))
                return ended.end == .rejected && ended.messages == ours.messages
            }
        }
    }

    private func report(_ what: String, _ bytes: [UInt8], _ seed: UInt64, _ tally: inout Tally) {
        let text = String(decoding: bytes, as: UTF8.self).debugDescription
        tally.disagreements.append("TOLLGATE_FUZZ_SEED=\(seed): \(what)\n\(text)")
    }
}
