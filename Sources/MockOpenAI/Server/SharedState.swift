import NIOCore
import Synchronization

/// What all connections of one mock share.
final class SharedState: Sendable {
    let configuration: MockOpenAIServer.Configuration
    let catalogue: ModelCatalogue
    let log: ServedLog
    let barrier = Barrier()
    let responses = StoredResponses()
    let defaultTier: ByteBuffer
    let requiredKey: [UInt8]?
    private let randomFaults: [Faults]
    private let identityBase: UInt64
    private let identities = Atomic<UInt64>(0)
    private let requests = Atomic<Int>(0)
    private let served = Atomic<Int>(0)
    private let open = Atomic<Int>(0)
    private let channels = Mutex<[ObjectIdentifier: any Channel]>([:])

    init(_ configuration: MockOpenAIServer.Configuration) throws {
        self.configuration = configuration
        catalogue = ModelCatalogue(names: configuration.models, echo: configuration.echoModel)
        log = try ServedLog(configuration.log, limit: configuration.logLimit)
        defaultTier = ByteBuffer(string: configuration.defaultTier)
        requiredKey = configuration.requiredKey.map { Array($0.utf8) }
        randomFaults = configuration.randomFaults.members
        identityBase = UInt64.random(in: .min ... .max)
    }

    var stats: MockOpenAIServer.Stats {
        MockOpenAIServer.Stats(
            requests: requests.load(ordering: .relaxed), waiting: barrier.waiting,
            served: served.load(ordering: .relaxed), open: open.load(ordering: .relaxed),
            connections: channels.withLock { $0.count })
    }

    /// Counts a request that was read; returns its number since the last reset, from 1.
    func arrived() -> Int {
        open.add(1, ordering: .relaxed)
        return requests.add(1, ordering: .relaxed).newValue
    }

    func ended() {
        served.add(1, ordering: .relaxed)
        open.subtract(1, ordering: .relaxed)
    }

    func reset() {
        log.reset()
        requests.store(0, ordering: .relaxed)
        served.store(0, ordering: .relaxed)
    }

    /// 128 bits that differ for every reply, also between processes.
    func nextIdentity() -> (UInt64, UInt64) {
        let count = identities.add(1, ordering: .relaxed).newValue
        return (ReplySeed.scramble(identityBase ^ count), ReplySeed.scramble(count &* 2 &+ ~identityBase))
    }

    /// The process-wide fault of the request that arrived as number `arrival`, if the dice say so.
    func randomFault(arrival: Int) -> Faults {
        guard configuration.faultRate > 0, !randomFaults.isEmpty else { return [] }
        let dice = ReplySeed.scramble(ReplySeed.scramble(configuration.seed) ^ UInt64(arrival))
        guard Double(dice >> 11) / Double(1 << 53) < configuration.faultRate else { return [] }
        return randomFaults[Int(ReplySeed.scramble(dice) % UInt64(randomFaults.count))]
    }

    func opened(_ channel: any Channel) { channels.withLock { $0[ObjectIdentifier(channel)] = channel } }

    func closed(_ channel: any Channel) {
        _ = channels.withLock { $0.removeValue(forKey: ObjectIdentifier(channel)) }
    }

    var connections: [any Channel] { channels.withLock { Array($0.values) } }
}
