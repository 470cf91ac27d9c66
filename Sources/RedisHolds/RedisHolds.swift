import Logging
import Metering
import MoneyPath
import NIOCore
import NIOPosix
import Synchronization

/// The hold store of one process on one Redis: a session per event loop, a poster, and their metrics.
public final class RedisHolds: MetricSource, Sendable {
    public let boot: BootID
    /// What the settler talks to.
    public let poster: RedisHoldPoster
    private let address: RedisAddress
    private let settings: RedisHoldSettings
    private let shared: SharedHoldState
    private let logger: Logger
    /// What the sweep talks to.
    public let sweep: RedisSweep
    private let sessions: SessionList

    /// - Parameters:
    ///   - url: `redis://…` or `rediss://…`, one host.
    ///   - boot: owner of this process' holds.
    ///   - sink: takes the VOID of a PLACE whose fate was unknown.
    /// - Throws: `RedisAddressProblem`. Connecting happens in the background and never throws.
    public init(
        url: String, boot: BootID, accounts: any AccountReading, sink: any SettlementSink,
        group: any EventLoopGroup, logger: Logger, settings: RedisHoldSettings = RedisHoldSettings()
    ) throws(RedisAddressProblem) {
        self.address = try RedisAddress(url: url)
        self.boot = boot
        self.settings = settings
        self.logger = logger
        self.shared = SharedHoldState(
            boot: boot, accounts: accounts, sink: sink, counters: RedisHoldCounters())
        self.sessions = SessionList()
        let loop = group.next()
        let poster = RedisHoldPoster(
            loop: loop,
            link: RedisLink(loop: loop, configuration: Self.link(self.address, settings), logger: logger),
            boot: boot, epochs: self.shared.epochs, settings: settings, logger: logger)
        self.poster = poster
        let sessions = self.sessions
        self.shared.epochs.follow(sessions)
        let sweeping = RedisConversation(
            link: RedisLink(loop: loop, configuration: Self.link(self.address, settings), logger: logger))
        self.sweep = RedisSweep(
            run: sweeping, sessions: { await sessions.known(among: $0) }, boot: boot,
            leaseMilliseconds: settings.lease.nanoseconds / 1_000_000)
        loop.execute {
            sweeping.start()
            poster.sessions = sessions
            poster.unposted = {
                // In this order: what is in memory only later was recorded, or left the journal, after the question.
                let isWhole = !sink.hasSpilled
                return Recapture.Unposted(sink.unposted(), isWhole: isWhole)
            }
            poster.start()
        }
    }

    /// Makes the session of one loop, and gives it a moment to connect, so that a proxy that starts does not greet
    /// its first clients with a 503. Without a connection it can be used as well: PLACE answers `.unavailable`.
    public func session(on loop: any EventLoop) async throws -> any HoldSession {
        let session = try await self.makeSession(on: loop)
        let end = NIODeadline.now() + .seconds(4)
        while !self.isAdmitting, NIODeadline.now() < end {
            try await Task.sleep(for: .milliseconds(5))
        }
        return session
    }

    func makeSession(on loop: any EventLoop) async throws -> RedisHoldSession {
        let link = RedisLink(
            loop: loop, configuration: Self.link(self.address, self.settings), logger: self.logger)
        let session = self.sessions.add { number in
            self.shared.epochs.add(session: number)
            return RedisHoldSession(
                loop: loop, number: number, boot: self.boot, settings: self.settings, shared: self.shared,
                link: link, logger: self.logger)
        }
        try await loop.submit { session.start() }.get()
        return session
    }

    /// Every session is connected, and under the epoch that is open.
    private var isAdmitting: Bool {
        self.shared.counters.sessionsAdmitting.now >= self.sessions.all.count
    }

    /// Instances whose heart beats: until all of them have put their holds back, or 3 seconds passed, nothing is
    /// admitted after a loss of data (rule E2).
    public func live(_ peers: Set<BootID>) { self.shared.epochs.live(peers) }

    /// The ledger is of this generation now: accounts that were loaded from an older one are cold.
    public func saw(ledgerGeneration: Int64) { self.shared.epochs.saw(generation: ledgerGeneration) }

    /// Some session can place holds now.
    public var isHealthy: Bool { self.shared.counters.sessionsAdmitting.now > 0 }

    public func samples() -> [MetricSample] { self.shared.counters.samples() }

    /// Closes the sessions, after one moment (`shutdownGrace`) for their last acknowledgements: what those say is
    /// recorded when this returns. Holds that are still open stay in Redis. The poster goes on.
    public func endSessions() async {
        let ends = self.sessions.all.map { session in
            session.loop.flatSubmit { session.shutdown() }
        }
        for end in ends { try? await end.get() }
    }

    /// Closes everything: the sessions, if they are not, then what posts and sweeps.
    public func shutdown() async {
        await self.endSessions()
        let (poster, sweeping) = (self.poster, self.sweep.run)
        try? await poster.loop.submit {
            poster.stop()
            sweeping.stop()
        }.get()
    }

    var counters: RedisHoldCounters { self.shared.counters }
    var admittedEpoch: String? { self.shared.epochs.admittedEpoch }

    private static func link(
        _ address: RedisAddress, _ settings: RedisHoldSettings
    ) -> RedisLink.Configuration {
        RedisLink.Configuration(
            address: address, tls: settings.tls, stallTimeout: settings.stallTimeout)
    }
}

/// The sessions of one process.
private final class SessionList: EpochFollowers {
    private let sessions = Mutex<[RedisHoldSession]>([])

    func add(_ make: (_ number: Int) -> RedisHoldSession) -> RedisHoldSession {
        self.sessions.withLock { sessions in
            let session = make(sessions.count)
            sessions.append(session)
            return session
        }
    }

    var all: [RedisHoldSession] { self.sessions.withLock { $0 } }

    func known(among holds: [HoldID]) async -> Set<HoldID> {
        var known: Set<HoldID> = []
        for session in self.all {
            let answer = try? await session.loop.submit { holds.filter { session.machine.knows($0) } }.get()
            // A loop that ended has no exchanges.
            known.formUnion(answer ?? [])
        }
        return known
    }

    func checkEpoch() { for session in self.all { session.loop.execute { session.checkEpoch() } } }

    func gateOpened() { for session in self.all { session.loop.execute { session.gateOpened() } } }
}
