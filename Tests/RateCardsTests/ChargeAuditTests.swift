import Metering
import Testing

@testable import RateCards

/// `verify` finds a charge that is not usage times price, to the last millicredit and the last pico-USD.
@Suite struct ChargeAuditTests {
    private func audit(_ records: UsageRecord...) throws -> ChargeAudit {
        var audit = try ChargeAudit(cards: [try History.card(), try History.card(version: "2", output: "9")])
        for record in records { audit.add(record) }
        return audit
    }

    @Test(arguments: [nil, "default", "flex"] as [String?], RoundingMode.allCases)
    func whatWasChargedIsComputedAgain(tier: String?, mode: RoundingMode) throws {
        for version in ["1", "2"] {
            let card = try History.card(version: version, output: version == "1" ? "4" : "9")
            for region in [nil, Region.eu] {
                let record = try History.record(
                    History.rich, by: card, tier: tier, mode: mode, region: region)
                let audit = try self.audit(record)
                #expect(audit.offendersTotal == 0 && audit.recomputed == 1, "\(audit.offenders)")
            }
        }
    }

    enum Damage: CaseIterable {
        case amount, cost, output, audio, tool, tier, price
    }

    @Test(arguments: Damage.allCases) func oneWrongNumberIsFound(_ damage: Damage) throws {
        var record = try History.record(History.rich, by: try History.card())
        switch damage {
        case .amount: record.charged = Millicredits(record.charged.value + 1)
        case .cost: record.cost = PicoUSD(record.cost.value + 1)
        case .output: record.usage?.output += 1
        case .audio: record.usage?.audio.input -= 1
        case .tool: record.usage?.tools[.webSearch] = 3
        case .tier: record.servedTier = "flex"
        case .price: record.priceID = "test@2/m"
        }
        let audit = try self.audit(record)
        #expect(
            audit.offendersTotal == 1 && audit.offenders[0].contains("of account 1"), "\(audit.offenders)")
    }

    @Test func partsThatDoNotFitAreFound() throws {
        var record = try History.record(History.rich, by: try History.card())
        record.usage = nil
        #expect(try self.audit(record).offendersTotal == 1)
    }

    /// A waived exchange is charged nothing; what it would have been is computed again.
    @Test func theShadowOfWhatWasWaivedIsLookedAt() throws {
        var record = try History.record(History.rich, by: try History.card(), kind: .waived)
        #expect(try self.audit(record).offendersTotal == 0)
        record.shadow = Millicredits(record.shadow.value - 1)
        #expect(try self.audit(record).offendersTotal == 1)
    }

    /// A guess would raise a false alarm.
    @Test func whatCannotBeComputedAgainIsLeftAlone() throws {
        let right = try History.record(History.rich, by: try History.card())
        var (estimate, unknown, cut, other, void) = (right, right, right, right, right)
        estimate.isEstimated = true
        unknown.priceID = "gone@1/m"
        cut.kind = .orphan
        other.servedTier = "scale"
        void.kind = .void
        var later = right
        (later.usage, later.hasUnknownParts) = (nil, true)
        for var record in [estimate, unknown, cut, other, void, later] {
            record.charged = Millicredits(1)
            let audit = try self.audit(record)
            #expect(audit.offendersTotal == 0 && audit.notRecomputable == 1 && audit.recomputed == 0)
        }
    }

    @Test func theFirstOffendersAreNamedAndAllAreCounted() throws {
        var audit = try ChargeAudit(cards: [try History.card()])
        var record = try History.record(History.rich, by: try History.card())
        record.charged = .zero
        for _ in 0..<50 { audit.add(record) }
        #expect(audit.offenders.count == ChargeAudit.offendersMax && audit.offendersTotal == 50)
    }
}
