import Testing

@testable import StripeAPI

@Suite struct OutboundQueueTests {
    @Test func worksOldestFirst() {
        var queue = OutboundQueue<String>(capacity: 3)
        #expect(queue.add("a", id: 1) == .wakeWorker)
        #expect(queue.add("b", id: 2) == .wakeWorker)
        #expect(queue.taken() == "a")
        #expect(queue.taken() == "b")
    }

    /// A service that hangs must not collect requests without an end.
    @Test func refusesWhatExceedsItsCapacity() {
        var queue = OutboundQueue<String>(capacity: 1)
        #expect(queue.add("a", id: 1) == .wakeWorker)
        #expect(queue.add("b", id: 2) == .refuse(.queueFull))
        #expect(queue.taken() == "a")
        #expect(queue.add("c", id: 3) == .wakeWorker)
    }

    /// The wake for cancelled work still comes.
    @Test func aWorkerThatWasWokenForCancelledWorkSleepsAgain() {
        var queue = OutboundQueue<String>(capacity: 3)
        _ = queue.add("a", id: 1)
        #expect(queue.cancel(1) == "a")
        #expect(queue.cancel(1) == nil)
        guard case .sleep = queue.take() else { return #expect(Bool(false), "not asleep") }
    }

    @Test func runningWorkIsNotCancelledHere() {
        var queue = OutboundQueue<String>(capacity: 3)
        _ = queue.add("a", id: 1)
        #expect(queue.taken() == "a")
        #expect(queue.cancel(1) == nil)
    }

    @Test func shutDownGivesWhatWaitsBackOnceAndEndsWorkers() {
        var queue = OutboundQueue<String>(capacity: 3)
        _ = queue.add("a", id: 1)
        #expect(queue.shutDown() == ["a"])
        #expect(queue.shutDown() == [])
        #expect(queue.add("b", id: 2) == .refuse(.shutDown(sent: false)))
        guard case .end = queue.take() else { return #expect(Bool(false), "not ended") }
    }
}

extension OutboundQueue {
    fileprivate mutating func taken() -> Work? {
        guard case .run(let work) = self.take() else { return nil }
        return work
    }
}
