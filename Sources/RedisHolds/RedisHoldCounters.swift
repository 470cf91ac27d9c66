import Metering
import MoneyPath
import Synchronization

/// What this process counts about its hold store. Shared by the sessions; relaxed, since only scrapes read
/// it.
final class RedisHoldCounters: Sendable {
    let placesGranted = Atomic(0)
    let placesShort = Atomic(0)
    let placesCapped = Atomic(0)
    let placesLimited = Atomic(0)
    let placesBlocked = Atomic(0)
    let unavailableDeadline = Atomic(0)
    let unavailableDisconnected = Atomic(0)
    let unavailableBreaker = Atomic(0)
    let unavailableLedger = Atomic(0)
    let unavailableRefused = Atomic(0)
    let unavailableRecovering = Atomic(0)
    let commands = Atomic(0)
    let lateGrantsReleased = Atomic(0)
    let unknownPlacesVoided = Atomic(0)
    let holdsReasserted = Atomic(0)
    let holdsTakenOver = Atomic(0)
    let coldLoads = Atomic(0)
    let shortVerifications = Atomic(0)
    let connectionsLost = Atomic(0)
    let epochChanges = Atomic(0)
    let holdsOpen = Atomic(0)
    let sessionsReady = Atomic(0)
    let breakersOpen = Atomic(0)
    /// Connected, under the open epoch, breaker closed.
    let sessionsAdmitting = Atomic(0)

    func count(_ answer: PlaceAnswer) {
        switch answer {
        case .granted: self.placesGranted.add(1)
        case .short: self.placesShort.add(1)
        case .capReached: self.placesCapped.add(1)
        case .limited: self.placesLimited.add(1)
        case .blocked: self.placesBlocked.add(1)
        case .unavailable(.deadline): self.unavailableDeadline.add(1)
        case .unavailable(.disconnected): self.unavailableDisconnected.add(1)
        case .unavailable(.breakerOpen): self.unavailableBreaker.add(1)
        case .unavailable(.ledgerUnreachable): self.unavailableLedger.add(1)
        case .unavailable(.storeRefused): self.unavailableRefused.add(1)
        case .unavailable(.recovering): self.unavailableRecovering.add(1)
        }
    }

    /// What a session counted since it was asked last.
    func add(_ now: HoldSessionCounts, since last: HoldSessionCounts) {
        self.holdsOpen.add(now.open - last.open)
        self.lateGrantsReleased.add(now.lateGrantsReleased - last.lateGrantsReleased)
        self.unknownPlacesVoided.add(now.unknownPlacesVoided - last.unknownPlacesVoided)
        self.holdsReasserted.add(now.reasserted - last.reasserted)
        self.coldLoads.add(now.coldLoads - last.coldLoads)
        self.holdsTakenOver.add(now.takenOver - last.takenOver)
    }

    func samples() -> [MetricSample] {
        typealias Label = MetricSample.Label
        let outcomes: [(String, Int)] = [
            ("granted", self.placesGranted.now), ("short", self.placesShort.now),
            ("cap_reached", self.placesCapped.now), ("limited", self.placesLimited.now),
            ("blocked", self.placesBlocked.now),
            (HoldsUnavailable.deadline.rawValue, self.unavailableDeadline.now),
            (HoldsUnavailable.disconnected.rawValue, self.unavailableDisconnected.now),
            (HoldsUnavailable.breakerOpen.rawValue, self.unavailableBreaker.now),
            (HoldsUnavailable.ledgerUnreachable.rawValue, self.unavailableLedger.now),
            (HoldsUnavailable.storeRefused.rawValue, self.unavailableRefused.now),
            (HoldsUnavailable.recovering.rawValue, self.unavailableRecovering.now),
        ]
        let places = outcomes.map { name, count in
            MetricSample(
                "holds_place_total", help: "Answers to PLACE by result", kind: .counter,
                labels: [Label("result", name)], count: count)
        }
        func counter(_ name: String, _ help: String, _ value: Int) -> MetricSample {
            MetricSample(name, help: help, kind: .counter, count: value)
        }
        func gauge(_ name: String, _ help: String, _ value: Int) -> MetricSample {
            MetricSample(name, help: help, kind: .gauge, count: value)
        }
        return places + [
            gauge("holds_open", "Holds of this process that are not ended", self.holdsOpen.now),
            gauge("redis_sessions_ready", "Sessions with a live connection", self.sessionsReady.now),
            gauge(
                "redis_sessions_admitting", "Sessions that place holds now", self.sessionsAdmitting.now),
            gauge("redis_breakers_open", "Sessions whose breaker is not closed", self.breakersOpen.now),
            counter("redis_commands_total", "Commands of hold sessions", self.commands.now),
            counter(
                "redis_epoch_changes_total", "Times that Redis may have lost data", self.epochChanges.now),
            counter("redis_connections_lost_total", "Hold connections lost", self.connectionsLost.now),
            counter("redis_cold_loads_total", "Accounts loaded from the ledger", self.coldLoads.now),
            counter(
                "redis_short_verifications_total", "Ledger reads before a 402", self.shortVerifications.now),
            counter(
                "holds_late_grants_released_total", "Grants after their deadline", self.lateGrantsReleased.now
            ),
            counter(
                "holds_unknown_voided_total", "Unknown PLACEs settled as VOID", self.unknownPlacesVoided.now),
            counter("holds_reasserted_total", "Holds put back into Redis", self.holdsReasserted.now),
            counter(
                "holds_taken_over_total", "Times that a renewal found its hold with a reaper",
                self.holdsTakenOver.now),
        ]
    }
}

extension Atomic where Value == Int {
    @inline(__always)
    borrowing func add(_ count: Int) { self.wrappingAdd(count, ordering: .relaxed) }
    var now: Int { self.load(ordering: .relaxed) }
}
