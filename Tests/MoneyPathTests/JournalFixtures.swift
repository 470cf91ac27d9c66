import Metering
import MoneyPath

/// A segment that is an array of bytes: copying it is taking an image of the disk.
struct MemorySegment: JournalSegment, Sendable {
    let id: UInt64
    var bytes: [UInt8]
    var capacity: Int { self.bytes.count }

    init(id: UInt64, capacity: Int = JournalFormat.segmentBytesMin) {
        self.id = id
        self.bytes = [UInt8](repeating: 0, count: capacity)
    }

    /// A file that is used again, with all that stood in it.
    init(id: UInt64, recycling old: MemorySegment) {
        self.id = id
        self.bytes = old.bytes
    }

    mutating func write(_ source: UnsafeRawBufferPointer, at offset: Int) {
        self.bytes.replaceSubrange(offset..<offset + source.count, with: source)
    }

    func withBytes<Result>(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        self.bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }
}

enum JournalFixtures {
    static let boot = BootID(high: 0x0193_0000_0000_7b00, low: 0x8000_0000_0000_00b0)

    static func hold(_ number: Int) -> HoldID { HoldID(high: 0x0193_0000_0000_7001, low: UInt64(number)) }

    static func opening(_ number: Int, boot: BootID = boot) -> Settlement {
        Settlement(
            account: 7, hold: self.hold(number), owner: boot, kind: .orphan, authority: .recovery,
            endpoint: .chat, modelRequested: "gpt-4o-mini", priceID: "p1", usage: Usage(input: 11, output: 0),
            charge: Charge(amount: Millicredits(3), cost: PicoUSD(5)), estimatedBecause: .proxyDied,
            occurredAtMilliseconds: 1_763_900_000_000)
    }

    static func final(_ number: Int, boot: BootID = boot, padding: Int = 0) -> Settlement {
        var settlement = self.opening(number, boot: boot)
        settlement.kind = .final
        settlement.authority = .owner
        settlement.usage.output = Int64(number)
        settlement.charge = Charge(amount: Millicredits(Int64(number)), cost: PicoUSD(2))
        settlement.shadow = settlement.charge.amount
        settlement.estimatedBecause = nil
        settlement.modelServed = String(repeating: "m", count: padding)
        return settlement
    }

    /// As long as an encoded settlement can be.
    static func longest(_ number: Int, kind: Settlement.Kind = .final) -> Settlement {
        let text = String(repeating: ";", count: 400)
        var settlement = kind == .orphan ? self.opening(number) : self.final(number)
        settlement.modelRequested = text
        settlement.modelServed = text
        settlement.servedTier = text
        settlement.priceID = text
        settlement.upstreamRequestID = text
        return settlement
    }

    static func progress(_ output: Int64) -> JournalProgress {
        JournalProgress(
            output: output, charge: Charge(amount: Millicredits(3 + output), cost: PicoUSD(5 + output)),
            shadow: Millicredits(3 + output))
    }

    /// What a recovery settles for an exchange that came so far.
    static func orphan(_ number: Int, _ progress: JournalProgress?) -> Settlement {
        var settlement = self.opening(number)
        guard let progress else { return settlement }
        settlement.usage.output = progress.output
        settlement.charge = progress.charge
        settlement.shadow = progress.shadow
        return settlement
    }
}

/// Steele, Lea, Flood: a generator whose whole state is its seed, so that a failure can be replayed.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var z = self.state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
