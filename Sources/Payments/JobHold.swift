import Billing

/// The lease of a job in the hands of one pass. A pass that takes longer prolongs it on its way; one that lost it stops, as
/// another instance is at work by now. Used by one task.
final class JobHold {
    struct Lost: Error {}

    /// Longer than any single step between two calls of `prolong`; a dead instance is replaced after it.
    static let seconds: Int64 = 240
    /// Prolonged when it is older than this.
    private static let ageMax = Duration.seconds(60)
    /// What a step between two calls of `prolong` may take: the lease outlives it.
    static let stepMax = Duration.seconds(150)

    let progress: String?
    private let job: String
    private let holder: String
    private let chores: any EventChores
    private let now: () -> ContinuousClock.Instant
    private var takenAt: ContinuousClock.Instant

    /// nil: another instance has it.
    init?(
        _ job: String, by holder: String, _ chores: any EventChores,
        now: @escaping () -> ContinuousClock.Instant = { .now }
    ) async throws {
        self.takenAt = now()
        guard let lease = try await chores.takeJob(job, for: holder, seconds: Self.seconds) else {
            return nil
        }
        self.progress = lease.progress
        (self.job, self.holder, self.chores, self.now) = (job, holder, chores, now)
    }

    /// To be called between two steps.
    ///
    /// - Throws: `Lost`
    func prolong() async throws {
        let moment = self.now()
        guard self.takenAt.duration(to: moment) > Self.ageMax else { return }
        guard try await self.chores.takeJob(self.job, for: self.holder, seconds: Self.seconds) != nil else {
            throw Lost()
        }
        self.takenAt = moment
    }

    /// Where the next pass begins.
    func note(_ progress: String) async throws {
        try await self.chores.noteProgress(of: self.job, by: self.holder, progress)
    }

    /// Any instance may do it from now on.
    func end() async throws { try await self.chores.endJob(self.job, by: self.holder) }
}
