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
        reading: PostgresLedger, sweep: LedgerSweep, clock: LedgerClock, logger: Logger
    ) {
        let keeper = JournalKeeper(
            journal: journal, root: settings.journalDirectory, settler: settler,
            trustedMilliseconds: { clock.trustedMilliseconds() }, logger: logger)
        let life = InstanceLife(ledger: sweep, settings: settings.life, logger: logger) { beat, living in
            // Boots whose journal is ours now are dead, whatever their last heartbeat was.
            holds.live(living.subtracting(keeper.recoveredBoots.boots))
            holds.saw(ledgerGeneration: beat.generation)
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

    /// Before anything is admitted: the journals of this host's ended boots are taken over, and the ledger has heard
    /// of us.
    func begin() async throws {
        self.journals.recover()
        try await self.life.beat()
    }

    /// Runs until the task is cancelled.
    func run() async {
        await withTaskGroup { group in
            group.addTask { await self.life.run() }
            group.addTask { await self.journals.run() }
            group.addTask { await self.journals.followGenerations() }
            group.addTask { await self.sweeper.run() }
        }
    }

    /// The last records are on the disk when this returns.
    func close() async {
        await withCheckedContinuation { continuation in self.journal.stop { continuation.resume() } }
    }
}
