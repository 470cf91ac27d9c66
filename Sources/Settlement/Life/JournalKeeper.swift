import Glibc
import Logging
import Metering
import MoneyPath
import Synchronization

/// The journals of this host: takes over those of boots that ended (J1, J8), remembers which of their requests went
/// upstream (F8), and posts everything that is retained again when the ledger has a new generation (P7, J6).
public final class JournalKeeper: Sendable {
    private struct State: Sendable {
        /// Holds with an OPEN, by boot.
        var recovered: [BootID: Set<HoldID>] = [:]
        var refused: Set<BootID> = []
        /// Taken over by this process: their locks are ours, and what they posted is retained in them only.
        var takenOver: [EndedBoot] = []
        /// Newest generation of the ledger that was seen.
        var generation: Int64 = 0
    }

    private let journal: JournalStore
    private let scan: JournalRecoveryScan
    private let settler: Settler
    private let logger: Logger
    private let state = Mutex(State())
    private let trustedMilliseconds: @Sendable () -> Int64?
    private let generationFile: String
    private let generations: AsyncStream<Int64>
    private let noteGeneration: AsyncStream<Int64>.Continuation
    private static let scanEvery: UInt64 = 30_000_000_000
    private static let batchRows = 500

    /// - Parameter trustedMilliseconds: since 1970, by a clock that was compared with another one; nil: there is none
    ///   now, and no journal is too old to be kept.
    public init(
        journal: JournalStore, root: String, settler: Settler,
        trustedMilliseconds: @escaping @Sendable () -> Int64?, logger: Logger
    ) {
        self.journal = journal
        self.scan = JournalRecoveryScan(
            root: root, retentionMilliseconds: journal.settings.limits.retentionMilliseconds)
        self.settler = settler
        self.logger = logger
        self.trustedMilliseconds = trustedMilliseconds
        self.generationFile = root + "/generation"
        (self.generations, self.noteGeneration) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: For the sweep

    public func isRecovered(_ boot: BootID) -> Bool { self.state.withLock { $0.recovered[boot] != nil } }

    public func isOpened(_ boot: BootID, _ hold: HoldID) -> Bool {
        self.state.withLock { $0.recovered[boot]?.contains(hold) ?? false }
    }

    public var recoveredBoots: (boots: [BootID], opened: Set<HoldID>) {
        self.state.withLock { state in
            (Array(state.recovered.keys), state.recovered.values.reduce(into: []) { $0.formUnion($1) })
        }
    }

    // MARK: Recovery

    /// Takes over the journals of all boots of this host that ended. Blocks for as long as reading them takes.
    public func recover() {
        self.rememberRecovered()
        let known = self.state.withLock { Set($0.recovered.keys).union($0.refused) }
        let findings: JournalRecoveryScan.Findings
        do {
            findings = try self.scan.scan(
                except: known.union([self.journal.boot]), nowMilliseconds: self.trustedMilliseconds())
        } catch {
            return self.logger.error("journals of ended boots not read", metadata: ["error": "\(error)"])
        }
        for (boot, failure) in findings.refused {
            self.state.withLock { _ = $0.refused.insert(boot) }
            self.logger.critical(
                "a journal cannot be recovered; look at `tollgate journal`",
                metadata: ["boot": "\(boot)", "failure": "\(failure)"])
        }
        for ended in findings.ended { self.takeOver(ended) }
    }

    private func takeOver(_ ended: EndedBoot) {
        let (settler, logger, boot) = (self.settler, self.logger, ended.boot)
        self.state.withLock { $0.recovered[boot] = ended.recovered.openedHolds }
        let action = ended.handOver(to: self.journal, take: { settler.adopt($0) }) { failure in
            guard let failure else { return }
            logger.error(
                "a recovered journal could not be marked; it is recovered again at the next start",
                metadata: ["boot": "\(boot)", "failure": "\(failure)"])
        }
        switch action {
        case .copied(let outcomes, _):
            self.state.withLock { $0.takenOver.append(ended) }
            if !ended.recovered.holes.isEmpty {
                logger.warning(
                    "a journal lost records that were never known to be on disk, as a power cut does",
                    metadata: [
                        "boot": "\(boot)", "records": "\(ended.recovered.missingRecords)",
                        "holes": "\(ended.recovered.holes.count)",
                    ])
            }
            logger.notice(
                "journal of an ended boot taken over",
                metadata: [
                    "boot": "\(boot)", "outcomes": "\(outcomes)",
                    "orphans": "\(ended.recovered.orphans.count)",
                ])
        case .noRoom(let outcomes):
            // What was copied may be copied again: the hold id makes that harmless.
            self.state.withLock { $0.recovered[boot] = nil }
            logger.error(
                "no room for the journal of an ended boot; tried again",
                metadata: ["boot": "\(boot)", "after": "\(outcomes)"])
        }
    }

    /// Boots that an earlier process of this host took over: the sweep has to know their OPENs.
    private func rememberRecovered() {
        let known = self.state.withLock { Set($0.recovered.keys).union([self.journal.boot]) }
        do {
            try self.scan.visitRecovered(except: known) { ended in
                self.state.withLock { $0.recovered[ended.boot] = ended.recovered.openedHolds }
            }
        } catch {
            self.logger.warning("recovered journals not read", metadata: ["error": "\(error)"])
        }
    }

    /// Looks for ended boots until the task is cancelled: an instance beside this one may die.
    public func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(nanoseconds: Self.scanEvery)
            guard !Task.isCancelled else { return }
            self.recover()
        }
    }

    // MARK: Ledger generations

    /// The ledger is of this generation now.
    public func noted(generation: Int64) { self.noteGeneration.yield(generation) }

    /// Runs until the task is cancelled.
    public func followGenerations() async {
        for await generation in self.generations { await self.saw(generation: generation) }
    }

    /// A newer generation than this host has posted to gets everything that is retained here, once: the file says so
    /// after the last batch, so whoever dies half-way starts over.
    func saw(generation: Int64) async {
        let isNews = self.state.withLock { state in
            guard generation > state.generation else { return false }
            state.generation = generation
            return true
        }
        guard isNews else { return }
        let posted = self.postedGeneration()
        if posted == nil { return self.write(generation) }
        guard let posted, posted < generation else { return }
        self.logger.warning(
            "the ledger has a new generation: retained outcomes are posted again",
            metadata: ["from": "\(posted)", "to": "\(generation)"])
        let outcomes = await self.replay(for: generation)
        guard let outcomes else { return }
        self.write(generation)
        self.logger.notice(
            "retained outcomes posted to the new generation",
            metadata: ["generation": "\(generation)", "outcomes": "\(outcomes)"])
    }

    /// Returns how many outcomes were posted; nil when a newer generation or the end of the process came first.
    private func replay(for generation: Int64) async -> Int? {
        var readings = [self.journal.outcomes(from: 1)]
        readings += self.state.withLock { $0.takenOver.map { $0.recovered.retained() } }
        try? self.scan.visitRecovered(except: [self.journal.boot]) {
            readings.append($0.recovered.retained())
        }
        var count = 0
        for var reading in readings {
            while case let batch = reading.next(limit: Self.batchRows), !batch.isEmpty {
                while true {
                    let isCurrent = self.state.withLock { $0.generation == generation }
                    guard isCurrent, !Task.isCancelled else { return nil }
                    if await self.settler.repost(batch.map(\.settlement)) { break }
                    try? await Task.sleep(nanoseconds: 500_000_000)
                }
                count += batch.count
            }
        }
        return count
    }

    private func postedGeneration() -> Int64? {
        guard let text = SmallFile.read(self.generationFile) else { return nil }
        return Int64(text.trimming())
    }

    private func write(_ generation: Int64) {
        guard SmallFile.replace(self.generationFile, with: "\(generation)\n") else {
            return self.logger.error(
                "the ledger's generation could not be written", metadata: ["file": "\(self.generationFile)"])
        }
    }
}

extension String {
    fileprivate func trimming() -> Substring {
        self[...].drop { $0.isWhitespace }.prefix { !$0.isWhitespace }
    }
}

/// A file of one line, replaced as a whole.
enum SmallFile {
    static func read(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// false: the old one stands.
    static func replace(_ path: String, with text: String) -> Bool {
        let temporary = path + ".new"
        guard let file = fopen(temporary, "w") else { return false }
        let bytes = Array(text.utf8)
        let isWritten =
            fwrite(bytes, 1, bytes.count, file) == bytes.count && fflush(file) == 0
            && fsync(fileno(file)) == 0
        guard fclose(file) == 0, isWritten else { return false }
        return rename(temporary, path) == 0
    }
}
