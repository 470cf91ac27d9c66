import Logging
import Metering
import MoneyPath
import PostgresLedger
import Proxy
import RedisHolds
import Settlement

/// What keeps the path from hold to settlement right when something breaks: journal, heartbeat, sweep.
struct MoneyPathParts: Sendable {
    let journal: JournalStore
    let settler: Settler
    let holds: RedisHolds
    let life: InstanceLife
    let journals: JournalKeeper
    let sweeper: Sweeper

    /// - Parameter journal: opened already, since nothing is admitted without it.
    init(
        boot: BootID, settings: MoneyPathSettings, journal: JournalStore, settler: Settler, holds: RedisHolds,
        reading: PostgresLedger, sweep: LedgerSweep, logger: Logger
    ) {
        let keeper = JournalKeeper(
            journal: journal, root: settings.journalDirectory, settler: settler, logger: logger)
        let life = InstanceLife(ledger: sweep, settings: settings.life, logger: logger) { beat, living in
            // Boots whose journal is ours now are dead, whatever their last heartbeat was.
            holds.live(living.subtracting(keeper.endedBoots))
            holds.saw(ledgerGeneration: beat.generation)
            settler.saw(generation: beat.generation)
            keeper.noted(generation: beat.generation)
        }
        self.journal = journal
        self.settler = settler
        self.holds = holds
        self.life = life
        self.journals = keeper
        self.sweeper = Sweeper(
            me: boot,
            .init(
                holds: holds.sweep, posting: holds.poster, accounts: reading, ledger: sweep, settler: settler,
                life: life, journals: keeper), settings: settings.sweep, logger: logger)
    }

    /// The journal of this process, once there is room for it: what is old enough goes first.
    ///
    /// - Parameter clock: the ledger's. Until it was heard, nothing is old.
    static func openJournal(
        boot: BootID, settings: MoneyPathSettings, clock: LedgerClock, logger: Logger
    ) async throws -> JournalStore {
        let root = settings.journalDirectory
        let scan = JournalRecoveryScan(
            root: root, retentionMilliseconds: settings.journal.limits.retentionMilliseconds)
        for failure in await scan.cleaned(nowMilliseconds: clock.trustedMilliseconds()) {
            logger.warning("an old journal was not deleted", metadata: ["error": "\(failure)"])
        }
        return try JournalStore(
            root: root, boot: boot, settings: settings.journal, logger: logger,
            nowMilliseconds: { clock.nowMilliseconds() },
            isClockTrusted: { clock.trustedMilliseconds() != nil })
    }

    /// Before anything is admitted: the ledger has heard of us and we of its generation, and the journals of this host's
    /// ended boots are taken over.
    ///
    /// - Parameter first: the heartbeat that brought the clock.
    func begin(after first: InstanceReading) async throws {
        self.life.heard(first)
        await self.journals.begin()
        // Those boots are known to be dead now, so nobody waits for them.
        try await self.life.beat()
    }

    /// What records outcomes that no exchange does. Runs until the task is cancelled.
    func run() async {
        await withTaskGroup { group in
            group.addTask { await self.journals.run() }
            group.addTask { await self.journals.followGenerations() }
            group.addTask { await self.sweeper.run() }
        }
    }

    /// The last records are on the disk when this returns.
    func close() async { await Self.close(self.journal) }

    static func close(_ journal: JournalStore) async {
        await withCheckedContinuation { continuation in journal.stop { continuation.resume() } }
    }
}
