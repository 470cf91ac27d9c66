import Testing

@testable import Metering

@Suite("Broken audio cannot harm")
struct AudioMeterFuzzTests {
    /// Nothing that is uploaded may trap, run on, or depend on where it was cut.
    @Test func mutatedFilesEndInTheSameAnswerHoweverTheyComeIn() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var dice = SplitMix64(state: seed)
        let names = AudioMeterTests.files.map(\.name) + ["alac.m4a", "adpcm.wav"]
        let files = try names.map { try AudioFiles.bytes($0) }
        for round in 0..<600 {
            var bytes = files[Int.random(in: 0..<files.count, using: &dice)]
            for _ in 0..<Int.random(in: 1...4, using: &dice) {
                Self.mutate(&bytes, with: files[Int.random(in: 0..<files.count, using: &dice)], &dice)
            }
            // Half of the OGG files have to pass the checksum, or nothing behind it is tried.
            if Bool.random(using: &dice) { bytes = AudioFiles.resealed(bytes) }
            let whole = AudioFiles.measure(bytes)
            let pieces = Int.random(in: 1...300, using: &dice)
            #expect(AudioFiles.measure(bytes, pieces: pieces) == whole, "seed \(seed), round \(round)")
        }
    }

    private static func mutate(_ bytes: inout [UInt8], with other: [UInt8], _ dice: inout SplitMix64) {
        guard !bytes.isEmpty else { return }
        let at = Int.random(in: 0..<bytes.count, using: &dice)
        // Most of what is read stands at the start.
        let early = Int.random(in: 0..<min(bytes.count, 400), using: &dice)
        switch Int.random(in: 0..<7, using: &dice) {
        case 0: bytes[at] = .random(in: 0...255, using: &dice)
        case 1, 2: bytes[early] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][Int.random(in: 0..<6, using: &dice)]
        case 3: for index in early..<min(early + 8, bytes.count) { bytes[index] = 0xff }
        case 4: bytes.removeLast(bytes.count - at)
        case 5: bytes.insert(contentsOf: other.prefix(Int.random(in: 0..<other.count, using: &dice)), at: at)
        default: bytes.removeSubrange(early..<min(early + 5, bytes.count))
        }
    }
}
