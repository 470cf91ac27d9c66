import Synchronization
import Testing

@testable import Tollgate

/// The settler posts what the listener recorded; nothing that happens to another part may cut that short.
@Suite struct ServicePartTests {
    struct Broken: Error {}

    final class Ends: Sendable {
        private let list = Mutex<[String]>([])
        func add(_ end: String) { self.list.withLock { $0.append(end) } }
        var all: [String] { self.list.withLock { $0 } }
    }

    /// A part that works until it is told to stop, and takes a moment for the rest, as the settler does.
    private func stores(_ ends: Ends) -> ServicePart {
        let (stops, stop) = AsyncStream<Void>.makeStream()
        return ServicePart("stores", onShutdown: { stop.finish() }) {
            for await _ in stops {}
            for _ in 0..<100 { await Task.yield() }
            ends.add(Task.isCancelled ? "cancelled" : "drained")
        }
    }

    @Test(.timeLimit(.minutes(5)), arguments: ["fails", "ends early"])
    func whateverEndsFirstTheStoresAreDrained(how: String) async throws {
        let ends = Ends()
        let edge = ServicePart("edge") { if how == "fails" { throw Broken() } }
        let group = ServicePart.group([self.stores(ends), edge], logger: .init(label: "test"))
        do {
            try await group.run()
            Issue.record("the end passes for success")
        } catch is Broken {
            #expect(how == "fails")
        } catch let early as ServicePart.EndedEarly {
            #expect(how == "ends early" && early.part == "edge")
        }
        #expect(ends.all == ["drained"])
    }

    @Test(.timeLimit(.minutes(5))) func whatIsAskedToStopEndsWell() async throws {
        let ends = Ends()
        let group = ServicePart.group([self.stores(ends)], logger: .init(label: "test"))
        await group.triggerGracefulShutdown()
        try await group.run()
        #expect(ends.all == ["drained"])
    }
}
