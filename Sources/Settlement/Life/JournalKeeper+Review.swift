import Metering
import MoneyPath

// Rule F8: whoever has the journal of a dead boot knows which of its requests were never sent.
extension JournalKeeper {
    /// Boots of which `unopened` may know something.
    public var reviewable: [BootID] { self.boots.withLock { $0.reviewable } }

    /// Of these VOIDs of reapers' estimates, those whose request was never sent: their boot's journal is whole, and has no
    /// OPEN for them. Reads the journals that are asked for; what cannot be read now is left out.
    public func unopened(_ voids: [Settlement]) async -> [Settlement] {
        var unopened: [Settlement] = []
        for (boot, voids) in Dictionary(grouping: voids, by: \.owner) {
            let holds = await self.unopened(Set(voids.map(\.hold)), of: boot)
            unopened += voids.filter { holds.contains($0.hold) }
        }
        return unopened
    }

    private func unopened(_ holds: Set<HoldID>, of boot: BootID) async -> Set<HoldID> {
        switch self.boots.withLock({ $0.review(holds, of: boot) }) {
        case .unopened(let holds): return holds
        case .read(let holds): return await JournalThread.run { self.read(holds, of: boot) }
        }
    }

    private func read(_ holds: Set<HoldID>, of boot: BootID) -> Set<HoldID> {
        guard self.boots.withLock({ $0.mayTry(boot, now: self.moment()) }) else { return [] }
        do throws(EndedBootFailure) {
            // Another process may look at it just now: the next sweep asks again.
            guard let ended = try self.scan.openMarked(boot) else { return [] }
            self.remember(ended)
            guard ended.recovered.isComplete else {
                self.logger.error(
                    "a journal with gaps does not say which requests were never sent",
                    metadata: ["boot": "\(boot)", "skipped": "\(ended.recovered.skipped.count)"])
                return []
            }
            let opened = ended.recovered.opened(among: holds)
            self.boots.withLock { $0.opened(opened, of: boot) }
            return holds.subtracting(opened)
        } catch {
            self.boots.withLock { $0.failed(boot, now: self.moment()) }
            self.logger.error(
                "a recovered journal cannot be read; tried again",
                metadata: ["boot": "\(boot)", "failure": "\(error)"])
            return []
        }
    }
}
