/// What the tail rule (J2, C9) says of the segments of a boot.
struct JournalVerdict {
    /// All that forbids a recovery, in the order of the segments.
    var damage: [JournalDamage] = []
    var tornTail: JournalPlace?
}

extension RecoveryPass {
    /// Sequences without gaps prove that nothing is missing, whatever stands between two segments; only behind
    /// the last record there is nothing to prove it, so only there a torn record is believed to be the last.
    func judge() -> JournalVerdict {
        var verdict = JournalVerdict()
        let lastUsed = self.found.lastIndex { $0.isUsed }
        for (index, found) in self.found.enumerated() {
            let id = found.segment.id
            if index > 0 {
                let before = self.found[index - 1].segment.id
                if id != before + 1 { verdict.damage.append(.missingSegment(before + 1)) }
            }
            if self.abandoned[id] != nil { continue }
            let next = self.found.dropFirst(index + 1).first
            if let lastUsed, index <= lastUsed {
                if let damage = self.damage(of: found, before: index < lastUsed ? next : nil) {
                    verdict.damage.append(damage)
                }
            }
            let isTail = lastUsed.map { index >= $0 } ?? true
            if isTail, verdict.tornTail == nil, found.isTorn {
                verdict.tornTail = JournalPlace(segment: id, offset: found.end)
            }
        }
        return verdict
    }

    private func damage(of found: Found, before next: Found?) -> JournalDamage? {
        let id = found.segment.id
        guard case .header = found.header else { return .header(segment: id) }
        if let gap = found.firstGap { return .record(segment: id, offset: gap) }
        // The next header, or its own damage, is judged at its turn.
        guard let next, next.segment.id == id + 1, case .header(let header) = next.header,
            header.firstSequence != found.nextSequence
        else { return nil }
        return .lostEnd(segment: id, offset: found.end)
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
