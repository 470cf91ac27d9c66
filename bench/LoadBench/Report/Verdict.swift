/// A line of a lane that passes or fails: billing, fidelity, or memory.
struct Verdict: Sendable, Equatable {
    enum Standing: Sendable, Equatable {
        case pass
        case fail
        /// There was nothing to judge, which is no pass.
        case open
    }

    var lane: String
    var standing: Standing
    /// `billing: exact (12,345 exchanges, 1,234,567 millicredits)`.
    var text: String

    static func all(of comparison: LaneComparison) -> [Verdict] {
        [
            comparison.billing.map { Self.billing($0, lane: comparison.lane) },
            comparison.unpriced > 0
                ? Self.unjudged(comparison.unpriced, lane: comparison.lane) : nil,
            comparison.fidelity.map { Self.fidelity($0, lane: comparison.lane) },
            comparison.memory.map { Self.memory($0, lane: comparison.lane) },
        ].compactMap(\.self)
    }

    private static func unjudged(_ count: Int, lane: String) -> Verdict {
        let exchanges = Figures.count(count, "exchange", "exchanges")
        return Verdict(
            lane: lane, standing: .open,
            text: "billing: not judged in rounds with \(exchanges) whose cost nobody but the proxy knows")
    }

    private static func billing(_ score: BillingScore, lane: String) -> Verdict {
        let exchanges = Figures.count(score.exchanges, "exchange", "exchanges")
        var text: String
        if score.difference != 0 {
            text = "billing: OFF BY \(Figures.signed(score.difference)) millicredits"
            text +=
                " (charged \(Figures.whole(score.charged)), due \(Figures.whole(score.due)), \(exchanges))"
        } else if score.exchanges == 0 {
            text = "billing: nothing was due"
        } else {
            text = "billing: exact (\(exchanges), \(Figures.whole(score.charged)) millicredits)"
        }
        if let findings = score.verifyFindings {
            text +=
                findings == 0
                ? ", verify clean" : ", VERIFY HAS \(Figures.count(findings, "FINDING", "FINDINGS"))"
        }
        return Verdict(
            lane: lane, standing: !score.isExact ? .fail : score.exchanges == 0 ? .open : .pass, text: text)
    }

    static func memory(_ growth: MemoryGrowth, lane: String) -> Verdict {
        let (grown, most) = (Figures.megabytes(growth.bytes), Figures.megabytes(growth.max))
        return Verdict(
            lane: lane, standing: growth.isWithin ? .pass : .fail,
            text: growth.isWithin
                ? "memory: \(grown) MB more than before the first exchange (at most \(most))"
                : "memory: GREW BY \(grown) MB (at most \(most))")
    }

    private static func fidelity(_ score: FidelityScore, lane: String) -> Verdict {
        let compared = Figures.count(score.compared, "reply", "replies")
        if !score.isExact {
            return Verdict(
                lane: lane, standing: .fail,
                text: "fidelity: \(Figures.whole(score.differing)) OF \(compared) DIFFER")
        }
        guard score.compared > 0 else {
            return Verdict(lane: lane, standing: .open, text: "fidelity: nothing was compared")
        }
        return Verdict(lane: lane, standing: .pass, text: "fidelity: exact (\(compared) compared)")
    }
}
