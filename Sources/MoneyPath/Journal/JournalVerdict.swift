/// What the tail rule (J2, C9) says of the segments of a boot.
struct JournalVerdict {
    /// All that forbids a recovery, in the order of the segments.
    var damage: [JournalDamage] = []
    /// What does not: behind everything that was known to be on disk.
    var holes: [JournalDamage] = []
    /// Records that are missing in the holes.
    var missing: UInt64 = 0
    var tornTail: JournalPlace?
}

/// Something that should stand in a segment and does not.
private struct JournalLoss {
    var damage: JournalDamage
    /// The first record that it concerns; nil: any.
    var first: UInt64?
    /// Records that are surely missing.
    var missing: UInt64
}

extension RecoveryPass {
    /// A segment counts as written again only when the copies are whole: a power cut may take them and leave the
    /// ABANDON behind them, and what was synced before the error is still in the original. Newest first, since the
    /// segment with the copies may have been written again as well.
    mutating func judgeAbandonments() {
        for claim in self.abandonments.sorted(by: { $0.sequence > $1.sequence }) {
            let isWhole = self.found.indices.allSatisfy { index in
                let found = self.found[index]
                guard found.segment.id > claim.segment, self.abandoned[found.segment.id] == nil else {
                    return true
                }
                let next = self.found.dropFirst(index + 1).first
                return self.losses(of: found, before: next).allSatisfy { ($0.first ?? 0) > claim.sequence }
            }
            if isWhole { self.abandoned[claim.segment] = claim.watermark }
        }
    }

    /// Sequences without gaps prove that nothing is missing, whatever stands between two segments; only behind
    /// the last record there is nothing to prove it, so only there a torn record is believed to be the last.
    ///
    /// The pages behind the last sync reach the disk in any order, so a power cut also leaves holes. They are taken
    /// for that only above the newest DURABLE: what is damaged below was on disk once, and is gone for another reason.
    func judge() -> JournalVerdict {
        var verdict = JournalVerdict()
        let lastUsed = self.found.lastIndex { $0.isUsed }
        for (index, found) in self.found.enumerated() {
            let id = found.segment.id
            if index > 0 {
                let before = self.found[index - 1].segment.id
                // A file gets its name before its first record, durably: no power cut takes it.
                if id != before + 1 { verdict.damage.append(.missingSegment(before + 1)) }
            }
            if self.abandoned[id] != nil { continue }
            let next = self.found.dropFirst(index + 1).first
            if let lastUsed, index <= lastUsed {
                for loss in self.losses(of: found, before: index < lastUsed ? next : nil) {
                    self.judge(loss, &verdict)
                }
            }
            let isTail = lastUsed.map { index >= $0 } ?? true
            if isTail, verdict.tornTail == nil, found.isTorn {
                verdict.tornTail = JournalPlace(segment: id, offset: found.end)
            }
        }
        return verdict
    }

    private func judge(_ loss: JournalLoss, _ verdict: inout JournalVerdict) {
        guard let durable, let first = loss.first, first > durable else {
            return verdict.damage.append(loss.damage)
        }
        verdict.holes.append(loss.damage)
        verdict.missing += loss.missing
    }

    private func losses(of found: Found, before next: Found?) -> [JournalLoss] {
        let id = found.segment.id
        var losses = found.gaps.map { gap in
            JournalLoss(
                damage: .record(segment: id, offset: gap.offset), first: gap.missing.lowerBound,
                missing: gap.missing.upperBound - gap.missing.lowerBound)
        }
        if case .header = found.header {
        } else {
            // One finding for the segment: whether its records are whole can be seen from their sequences only.
            let missing = losses.reduce(0) { $0 + $1.missing }
            losses = [
                JournalLoss(damage: .header(segment: id), first: found.firstSequence, missing: missing)
            ]
        }
        if let lost = self.lostEnd(of: found, before: next) { losses.append(lost) }
        return losses
    }

    /// The next header, or its own damage, is judged at its turn.
    private func lostEnd(of found: Found, before next: Found?) -> JournalLoss? {
        let id = found.segment.id
        guard let next, next.segment.id == id + 1, case .header(let header) = next.header,
            header.firstSequence != found.nextSequence
        else { return nil }
        let damage = JournalDamage.lostEnd(segment: id, offset: found.end)
        guard header.firstSequence > found.nextSequence else {
            return JournalLoss(damage: damage, first: nil, missing: 0)
        }
        return JournalLoss(
            damage: damage, first: found.nextSequence, missing: header.firstSequence - found.nextSequence)
    }
}

extension RecoveryPass.Found {
    /// Something was written into it: a head alone counts, for it stands before records that may be lost.
    var isUsed: Bool {
        if case .header = self.header { return true }
        return self.records > 0
    }

    /// Its last bytes, or its head, were not written whole.
    var isTorn: Bool { self.torn || (self.header == .damaged && self.records == 0) }
}
