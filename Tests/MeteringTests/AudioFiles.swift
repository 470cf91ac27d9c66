import Foundation

@testable import Metering

/// Files of `Tests/Fixtures/audio`, made by libsndfile and FFmpeg; what they hold is told by the table of the tests.
enum AudioFiles {
    static func bytes(_ name: String) throws -> [UInt8] {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        return [UInt8](try Data(contentsOf: tests.appending(path: "Fixtures/audio/\(name)")))
    }

    static func measure(_ bytes: [UInt8], pieces: Int = .max) -> Result<Int64, AudioFault> {
        var meter = AudioMeter()
        var at = 0
        while at < bytes.count {
            let end = at + min(pieces, bytes.count - at)
            bytes[at..<end].withUnsafeBytes { meter.feed($0) }
            at = end
        }
        return meter.finish()
    }

    /// Mono, 16 bits, 8,000 samples per second.
    static func wav(
        milliseconds: Int, declared: UInt32? = nil, riff: UInt32? = nil, behind: [UInt8] = []
    ) -> [UInt8] {
        let sound = [UInt8](repeating: 7, count: milliseconds * 16)
        var bytes = Array("RIFF".utf8) + self.little(riff ?? UInt32(36 + sound.count))
        bytes += Array("WAVEfmt ".utf8) + self.little(16) + [1, 0, 1, 0] + self.little(8000)
        bytes += self.little(16000) + [2, 0, 16, 0] + Array("data".utf8)
        return bytes + self.little(declared ?? UInt32(sound.count)) + sound + behind
    }

    static func base64(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }

    /// A frame of MPEG 2.5 layer III at 8 kbit/s: the most time for a byte. 8,000 samples per second make 72 ms of 72 bytes,
    /// 11,025 make 52.2 ms of 52.
    static func slowFrame(rate: Int = 8000) -> [UInt8] {
        let (code, size): (UInt8, Int) = rate == 8000 ? (0x18, 72) : (0x10, 52)
        return [0xff, 0xe3, code, 0xc0] + [UInt8](repeating: 0x55, count: size - 4)
    }

    static func find(_ text: String, in bytes: [UInt8]) -> Int? { self.find(Array(text.utf8), in: bytes) }

    static func find(_ mark: [UInt8], in bytes: [UInt8]) -> Int? {
        (0...max(0, bytes.count - mark.count)).first { bytes[$0...].starts(with: mark) }
    }

    static func little(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    static func big(_ value: UInt32) -> [UInt8] { self.little(value).reversed() }

    /// An OGG page; `pieces` are whole packets of fewer than 255 bytes.
    static func page(_ packets: [[UInt8]], serial: UInt32, first: Bool = false, granule: UInt32) -> [UInt8] {
        var bytes = Array("OggS".utf8) + [0, first ? 2 : 0] + self.little(granule) + self.little(0)
        bytes += self.little(serial) + self.little(0) + self.little(0) + [UInt8(packets.count)]
        return self.sealed(bytes + packets.map { UInt8($0.count) } + packets.flatMap { $0 })
    }

    /// An OGG page with its checksum, bit by bit.
    static func sealed(_ page: [UInt8]) -> [UInt8] {
        var page = page
        page.replaceSubrange(22..<26, with: [0, 0, 0, 0])
        var sum: UInt32 = 0
        for byte in page {
            for bit in (0..<8).reversed() {
                let isSet = sum >> 31 != UInt32(byte >> bit & 1)
                sum = sum << 1 ^ (isSet ? 0x04c1_1db7 : 0)
            }
        }
        page.replaceSubrange(22..<26, with: self.little(sum))
        return page
    }

    /// The file with the checksum of each page made anew, as far as pages follow each other.
    static func resealed(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        var at = 0
        while at + 27 <= bytes.count, bytes[at...].starts(with: Array("OggS".utf8)) {
            let body = at + 27 + Int(bytes[at + 26])
            guard body <= bytes.count else { break }
            let end = bytes[(at + 27)..<body].reduce(body) { $0 + Int($1) }
            guard end <= bytes.count else { break }
            bytes.replaceSubrange(at..<end, with: self.sealed(Array(bytes[at..<end])))
            at = end
        }
        return bytes
    }

    /// Adds to what the first box of each name says of its size.
    static func resize(_ names: [String], by count: Int, in bytes: inout [UInt8]) {
        for name in names {
            guard let at = self.find(name, in: bytes), at >= 4 else { continue }
            let size = bytes[(at - 4)..<at].reduce(0) { $0 << 8 | Int($1) } + count
            bytes.replaceSubrange((at - 4)..<at, with: self.big(UInt32(size)))
        }
    }

    /// Packets of 20 ms behind the two headers.
    static func opus(packets: Int, preSkip: UInt16 = 0, serial: UInt32 = 1, granule: UInt32) -> [UInt8] {
        let head =
            Array("OpusHead".utf8) + [1, 1] + self.little(UInt32(preSkip))[..<2] + self.little(48000) + [
                0, 0, 0,
            ]
        let sound = [[UInt8]](repeating: [0x08, 1, 2, 3], count: packets)
        return self.page([head], serial: serial, first: true, granule: 0)
            + self.page([Array("OpusTags".utf8)], serial: serial, granule: 0)
            + self.page(sound, serial: serial, granule: granule)
    }
}
