import Metering

/// One grant of credits and what became of it. Cents and revenue follow from the credits alone, whatever the
/// order of events was.
public struct CreditLot: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        case purchase, refund, adjustment, promotional, trial
    }

    /// `credit_lot.source_ref`.
    public let sourceRef: String
    public let kind: Kind
    public let credits: Millicredits
    /// US cents; 0: nobody paid for it.
    public let paidCents: Int64
    /// Taken back because of refunds and lost disputes.
    public internal(set) var clawed: Millicredits
    /// US cents of `paidCents` that went back.
    public internal(set) var reversedCents: Int64
    /// Used by exchanges.
    public internal(set) var used: Millicredits
    /// Taken back by an administrator, without cash.
    public internal(set) var withdrawn: Millicredits

    public enum Failure: Error, Sendable, Hashable {
        case creditsOutOfRange, centsOutOfRange, clawedOutOfRange, reversedOutOfRange, consumedOutOfRange
    }

    /// - Throws: when the parts do not fit into the whole, such as a damaged row's.
    public init(
        sourceRef: String, kind: Kind, credits: Millicredits, paidCents: Int64, clawed: Millicredits = .zero,
        reversedCents: Int64 = 0, used: Millicredits = .zero, withdrawn: Millicredits = .zero
    ) throws(Failure) {
        guard credits > .zero else { throw .creditsOutOfRange }
        guard paidCents >= 0, paidCents <= MicroUSD.centsMax else { throw .centsOutOfRange }
        guard clawed >= .zero, clawed <= credits else { throw .clawedOutOfRange }
        guard reversedCents >= 0, reversedCents <= paidCents else { throw .reversedOutOfRange }
        guard used >= .zero, withdrawn >= .zero,
            used.value + withdrawn.value <= credits.value - clawed.value
        else { throw .consumedOutOfRange }
        self.sourceRef = sourceRef
        self.kind = kind
        self.credits = credits
        self.paidCents = paidCents
        self.clawed = clawed
        self.reversedCents = reversedCents
        self.used = used
        self.withdrawn = withdrawn
    }

    public var consumed: Millicredits { Millicredits(self.used.value + self.withdrawn.value) }

    public var remaining: Millicredits {
        Millicredits(self.credits.value - self.clawed.value - self.consumed.value)
    }

    /// US cents that are revenue: ⌊(paid − reversed) × consumed / (credits − clawed)⌋, all of it when nothing
    /// remains.
    public var recognisedCents: Int64 { self.recognised(of: self.consumed) }

    /// The part of `recognisedCents` that is breakage.
    public var breakageCents: Int64 { self.recognised(of: self.withdrawn, when: self.withdrawn > .zero) }

    /// The part of `recognisedCents` that was earned by usage.
    public var usageCents: Int64 { self.recognisedCents - self.breakageCents }

    /// US cents that are still owed as service.
    public var deferredCents: Int64 { self.paidCents - self.reversedCents - self.recognisedCents }

    /// Usage of credits that nobody paid for, at its nominal value.
    var promotionalUsage: MicroUSD { self.paidCents == 0 ? MicroUSD(nominalOf: self.used) : .zero }

    private func recognised(of part: Millicredits, when any: Bool = true) -> Int64 {
        let kept = self.paidCents - self.reversedCents
        let whole = self.credits.value - self.clawed.value
        guard any else { return 0 }
        // A lot without credits has nothing left to serve: what was kept of its money is earned.
        guard whole > 0 else { return kept }
        return Int64(Int128(kept) * Int128(part.value) / Int128(whole))
    }

    var isPossible: Bool {
        self.clawed >= .zero && self.clawed <= self.credits && self.reversedCents >= 0
            && self.reversedCents <= self.paidCents && self.used >= .zero && self.withdrawn >= .zero
            && self.used.value + self.withdrawn.value <= self.credits.value - self.clawed.value
    }
}
