import Testing

@testable import Billing

@Suite struct AuditChainTests {
    private static func entry(_ number: Int64, after previous: [UInt8], reason: String = "why") -> AuditEntry
    {
        var entry = AuditEntry(
            number: number, at: 1_700_000_000_000_000 + number, actor: "cli:test", action: "test",
            subject: "s:\(number)",
            before: "null", after: #"{"number": \#(number)}"#, reason: reason, request: nil,
            previousHash: previous,
            hash: [])
        entry.hash = AuditChain.hash(of: entry)
        return entry
    }

    private static let entries: [AuditEntry] = {
        var entries: [AuditEntry] = []
        for number in 1...5 {
            entries.append(entry(Int64(number), after: entries.last?.hash ?? AuditChain().hash))
        }
        return entries
    }()

    private func broken(_ entries: [AuditEntry]) -> AuditChain.Broken? {
        var chain = AuditChain()
        do throws(AuditChain.Broken) { for entry in entries { try chain.add(entry) } } catch { return error }
        return nil
    }

    @Test func anUntouchedLogIsWhole() { #expect(self.broken(Self.entries) == nil) }

    /// Whatever of an entry is changed afterwards, its hash is not that of what it says any more.
    @Test(arguments: 0..<9) func aChangedEntryIsFound(_ part: Int) {
        var entries = Self.entries
        switch part {
        case 0: entries[2].at += 1
        case 1: entries[2].actor = "cli:eve"
        case 2: entries[2].action = "other"
        case 3: entries[2].subject = "other"
        case 4: entries[2].before = "1"
        case 5: entries[2].after = "{}"
        case 6: entries[2].reason = "another"
        case 7: entries[2].request = "r"
        default: entries[2].hash[0] ^= 1
        }
        #expect(self.broken(entries) == .init(number: 3, fault: .wrongHash))
    }

    /// Parts do not run into each other: what moves from one to the next changes the hash.
    @Test func partsHaveBorders() {
        var entries = Self.entries
        entries[2].actor = "cli:tes"
        entries[2].action = "ttest"
        #expect(self.broken(entries) == .init(number: 3, fault: .wrongHash))
    }

    @Test func missingMovedAndNewEntriesAreFound() {
        var deleted = Self.entries
        deleted.remove(at: 2)
        #expect(self.broken(deleted) == .init(number: 3, fault: .wrongNumber))
        var swapped = Self.entries
        swapped.swapAt(1, 2)
        #expect(self.broken(swapped) == .init(number: 2, fault: .wrongNumber))
        var renumbered = swapped
        (renumbered[1].number, renumbered[2].number) = (2, 3)
        #expect(self.broken(renumbered) == .init(number: 2, fault: .wrongPrevious))
        var inserted = Self.entries
        inserted.insert(Self.entry(3, after: Self.entries[1].hash, reason: "never"), at: 2)
        #expect(self.broken(inserted) == .init(number: 4, fault: .wrongNumber))
        // Whoever writes an entry anew must write all that come after it anew.
        var rewritten = Self.entries
        rewritten[2] = Self.entry(3, after: Self.entries[1].hash, reason: "never")
        #expect(self.broken(rewritten) == .init(number: 4, fault: .wrongPrevious))
    }

    /// A log whose end was cut is whole in itself; a hash that was noted tells.
    @Test func aNotedHeadTellsOfACutLog() throws {
        var chain = AuditChain(heads: [Self.entries[4].hash, Self.entries[1].hash, AuditChain().hash])
        for entry in Self.entries.prefix(4) { try chain.add(entry) }
        #expect(chain.missing == [Self.entries[4].hash])
    }
}
