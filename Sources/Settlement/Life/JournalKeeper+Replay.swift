import Metering
import MoneyPath

// A new generation of the ledger may have lost what was posted to the one before (rules P7, J6): everything that is
// retained is posted to it again, each journal once. The hold ids make it harmless to do so twice.
extension JournalKeeper {
    private static let batchRows = 500
    private static let pauseNanoseconds: UInt64 = 500_000_000

    /// The ledger is of this generation now.
    public func noted(generation: Int64) {
        guard self.boots.withLock({ $0.heard(generation: generation) }) else { return }
        self.wakeReplay.yield()
    }

    /// Runs until the task is cancelled.
    public func followGenerations() async {
        for await _ in self.replays { await self.replay() }
    }

    /// Nothing of a new boot was posted to any generation before the first that it hears of.
    func noteFirstGeneration() {
        let isUnused = self.journal.state.withLock { $0.journal.isUnused }
        guard let generation = self.boots.withLock({ $0.generation }), isUnused else { return }
        _ = self.write(generation, to: self.journal.directory)
    }

    /// Posts what lags behind the ledger's generation, as far as nothing fails; a later call does the rest.
    func replay() async {
        guard let generation = self.boots.withLock({ $0.generation }) else { return }
        await self.replayOwn(for: generation)
        for boot in self.boots.withLock({ $0.lagging(now: self.moment()) }) where !Task.isCancelled {
            await self.replay(boot, for: generation)
        }
    }

    private func replayOwn(for generation: Int64) async {
        let directory = self.journal.directory
        guard JournalDirectory.generation(directory.path) < generation,
            self.boots.withLock({ $0.mayTry(directory.boot, now: self.moment()) })
        else { return }
        await self.replay(self.journal.outcomes(from: 1), of: directory, for: generation)
    }

    private func replay(_ boot: BootID, for generation: Int64) async {
        let opened = await JournalThread.run { () -> Result<EndedBoot?, EndedBootFailure> in
            do throws(EndedBootFailure) { return .success(try self.scan.openMarked(boot)) } catch {
                return .failure(error)
            }
        }
        switch opened {
        // Whoever has it posts it, or leaves it to the next look.
        case .success(.none):
            self.logger.info(
                "a journal in other hands is not posted again now", metadata: ["boot": "\(boot)"])
        case .success(.some(let ended)):
            self.remember(ended)
            await self.replay(
                ended.recovered.retained(), of: ended.directory, for: generation,
                skipped: ended.recovered.skipped.count)
        case .failure(let failure): self.notReplayed(boot, "\(failure)")
        }
    }

    /// - Parameter skipped: what the journal should have and has not: then this is not the end of it.
    private func replay(
        _ reading: JournalReading<MappedSegment>, of directory: JournalDirectory, for generation: Int64,
        skipped: Int = 0
    ) async {
        let boot = directory.boot
        self.logger.warning(
            "the ledger has a new generation: a journal is posted again",
            metadata: ["boot": "\(boot)", "generation": "\(generation)"])
        // Cut off by a newer generation, which begins at the beginning, or by the end of this process.
        guard let (outcomes, unreadable) = await self.post(reading, for: generation) else { return }
        guard skipped == 0, unreadable == 0 else {
            return self.notReplayed(boot, "\(skipped + unreadable) places cannot be read")
        }
        guard await JournalThread.run({ self.write(generation, to: directory) }) else { return }
        self.logger.notice(
            "a journal was posted again",
            metadata: ["boot": "\(boot)", "generation": "\(generation)", "outcomes": "\(outcomes)"])
    }

    /// Returns how many outcomes were posted, and how many are there that cannot be read; nil: it was cut off.
    private func post(
        _ reading: JournalReading<MappedSegment>, for generation: Int64
    ) async -> (outcomes: Int, unreadable: Int)? {
        var (reading, outcomes) = (reading, 0)
        while true {
            let (page, rest) = await JournalThread.run { [reading] in
                var reading = reading
                let page = reading.next(limit: Self.batchRows)
                return (page, reading)
            }
            reading = rest
            if page.isEmpty { return (outcomes, reading.unreadable) }
            repeat {
                guard self.boots.withLock({ $0.isCurrent(generation) }), !Task.isCancelled else { return nil }
            } while await !self.post(page)
            outcomes += page.count
        }
    }

    private func post(_ page: [JournaledOutcome]) async -> Bool {
        if await self.settler.repost(page.map(\.settlement)) { return true }
        try? await Task.sleep(nanoseconds: Self.pauseNanoseconds)
        return false
    }

    private func write(_ generation: Int64, to directory: JournalDirectory) -> Bool {
        do throws(JournalFileFailure) {
            try directory.write(generation: generation)
        } catch {
            self.notReplayed(directory.boot, "\(error)")
            return false
        }
        self.boots.withLock { $0.posted(directory.boot, to: generation) }
        return true
    }

    private func notReplayed(_ boot: BootID, _ why: String) {
        self.boots.withLock { $0.failed(boot, now: self.moment()) }
        self.logger.error(
            "a journal is not known to be posted to the ledger's generation; tried again",
            metadata: ["boot": "\(boot)", "failure": "\(why)"])
    }
}
