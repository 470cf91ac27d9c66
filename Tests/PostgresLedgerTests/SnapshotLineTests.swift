import Testing

@testable import PostgresLedger

@Suite struct SnapshotLineTests {
    private func line(lanes: Int = 2, requests: Int = 3, holds: Int = 10, waiting: Int = 100)
        -> SnapshotLine<Int>
    {
        SnapshotLine(
            limits: .init(
                lanes: lanes, requestsPerStatement: requests, holdsPerStatement: holds, waitingMax: waiting))
    }

    /// nil: it waits. [-1]: it was refused.
    private func add(_ request: Int, holds: Int = 0, to line: inout SnapshotLine<Int>) -> [Int]? {
        switch line.add(request, holds: holds) {
        case .send(let batch): batch
        case .wait: nil
        case .refuse: [-1]
        }
    }

    @Test func whoFindsAFreeLaneGoesAlone() {
        var line = self.line()
        #expect(self.add(1, to: &line) == [1])
        #expect(self.add(2, to: &line) == [2])
        #expect(self.add(3, to: &line) == nil)
    }

    @Test func whoWaitedTogetherGoesTogetherInOrder() {
        var line = self.line()
        for request in 1...7 { _ = self.add(request, to: &line) }
        #expect(line.answered() == [3, 4, 5])
        #expect(line.answered() == [6, 7])
        #expect(line.answered() == nil)
        #expect(line.answered() == nil)
        #expect(self.add(8, to: &line) == [8])
    }

    @Test func aStatementTakesABoundedNumberOfHoldsAndAlwaysOneRequest() {
        var line = self.line(lanes: 1)
        _ = self.add(0, to: &line)
        for (request, holds) in [(1, 6), (2, 4), (3, 1), (4, 50), (5, 1)] {
            _ = self.add(request, holds: holds, to: &line)
        }
        #expect(line.answered() == [1, 2])
        #expect(line.answered() == [3])
        #expect(line.answered() == [4])
        #expect(line.answered() == [5])
        #expect(line.answered() == nil)
    }

    @Test func aFailureAnswersEverybodyWhoWaits() {
        var line = self.line(lanes: 1)
        for request in 1...4 { _ = self.add(request, to: &line) }
        #expect(line.failed() == [2, 3, 4])
        #expect(self.add(5, to: &line) == [5])
        #expect(line.answered() == nil)
    }

    @Test func aFullLineRefuses() {
        var line = self.line(lanes: 1, waiting: 1)
        #expect(self.add(1, to: &line) == [1])
        #expect(self.add(2, to: &line) == nil)
        #expect(self.add(3, to: &line) == [-1])
    }

    /// Whatever comes and goes, every request is sent or failed exactly once, and no lane is lost.
    @Test func everyRequestIsSentOrFailedOnce() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        var line = self.line(lanes: 3, waiting: 5)
        var (accepted, done): ([Int], [Int]) = ([], [])
        var (running, refused) = (0, 0)
        for request in 0..<5000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<6:
                let sent = self.add(request, holds: Int.random(in: 0...6, using: &random), to: &line)
                if sent == [-1] {
                    refused += 1
                    continue
                }
                accepted.append(request)
                done += sent ?? []
                running += sent == nil ? 0 : 1
            case 6..<9 where running > 0:
                if let sent = line.answered() { done += sent } else { running -= 1 }
            case 9 where running > 0:
                done += line.failed()
                running -= 1
            default: continue
            }
            #expect(running <= 3, "seed \(seed)")
        }
        while running > 0 {
            if let sent = line.answered() { done += sent } else { running -= 1 }
        }
        #expect(done.sorted() == accepted && refused > 0, "seed \(seed)")
    }
}
