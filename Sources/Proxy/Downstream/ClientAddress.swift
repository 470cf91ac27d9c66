import NIOCore

/// The address of a peer without its port: sixteen bytes, comparable and printable without a look-up. An IPv4 address
/// is kept as its IPv4-mapped form, so that `::ffff:10.0.0.1` is `10.0.0.1`.
struct ClientAddress: Hashable, Sendable {
    private let high: UInt64
    private let low: UInt64

    /// `::ffff:0:0/96`
    private static let mappedPrefix: UInt64 = 0xffff_0000_0000

    /// Peers on a Unix socket, and those whose address is not known, share the unspecified address.
    init(_ address: SocketAddress?) {
        switch address {
        case .some(.v4(let v4)):
            self.init(v4: UInt32(bigEndian: v4.address.sin_addr.s_addr))
        case .some(.v6(let v6)):
            self = withUnsafeBytes(of: v6.address.sin6_addr) { bytes in
                ClientAddress(
                    high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                    low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
            }
        case .some(.unixDomainSocket), nil:
            self.init(high: 0, low: 0)
        }
    }

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    private init(v4: UInt32) { self.init(high: 0, low: Self.mappedPrefix | UInt64(v4)) }

    var isV4: Bool { self.high == 0 && self.low >> 32 == 0xffff }

    /// The first `count` bits; the address of the network.
    func prefix(_ count: Int) -> ClientAddress {
        func mask(_ bits: Int) -> UInt64 { bits <= 0 ? 0 : bits >= 64 ? .max : ~(UInt64.max >> UInt64(bits)) }
        return ClientAddress(high: self.high & mask(count), low: self.low & mask(count - 64))
    }

    // MARK: Text

    /// Reads `192.0.2.1` or `2001:db8::1`; no port, brackets or zone.
    init?(parsing text: some StringProtocol) {
        if text.contains(":") {
            guard let groups = Self.groups(text) else { return nil }
            var parts: (UInt64, UInt64) = (0, 0)
            for group in groups[..<4] { parts.0 = parts.0 << 16 | UInt64(group) }
            for group in groups[4...] { parts.1 = parts.1 << 16 | UInt64(group) }
            self.init(high: parts.0, low: parts.1)
        } else {
            guard let v4 = Self.v4(text) else { return nil }
            self.init(v4: v4)
        }
    }

    private static func v4(_ text: some StringProtocol) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            // A leading zero is octal to some readers.
            guard (1...3).contains(part.utf8.count), part == "0" || !part.hasPrefix("0"),
                part.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let byte = UInt8(part)
            else { return nil }
            value = value << 8 | UInt32(byte)
        }
        return value
    }

    /// Eight groups; one `::` stands for the zeros that are missing, and the last two may be an IPv4 address.
    private static func groups(_ text: some StringProtocol) -> [UInt16]? {
        func side(_ part: Substring, mayEndInV4: Bool) -> [UInt16]? {
            if part.isEmpty { return [] }
            var groups: [UInt16] = []
            let pieces = part.split(separator: ":", omittingEmptySubsequences: false)
            for (index, piece) in pieces.enumerated() {
                if mayEndInV4, index == pieces.count - 1, piece.contains(".") {
                    guard let v4 = self.v4(piece) else { return nil }
                    groups += [UInt16(v4 >> 16), UInt16(truncatingIfNeeded: v4)]
                } else {
                    // A number of Swift's may have a sign.
                    let isHex = piece.utf8.allSatisfy {
                        (0x30...0x39).contains($0) || (0x61...0x66).contains($0 | 0x20)
                    }
                    guard (1...4).contains(piece.utf8.count), isHex, let group = UInt16(piece, radix: 16)
                    else { return nil }
                    groups.append(group)
                }
            }
            return groups
        }
        let whole = Substring(text)
        guard let gap = Self.firstGap(whole) else {
            guard let groups = side(whole, mayEndInV4: true), groups.count == 8 else { return nil }
            return groups
        }
        let tail = whole[whole.index(gap, offsetBy: 2)...]
        guard Self.firstGap(tail) == nil, !tail.hasPrefix(":"),
            let left = side(whole[..<gap], mayEndInV4: false), let right = side(tail, mayEndInV4: true),
            left.count + right.count < 8
        else { return nil }
        return left + [UInt16](repeating: 0, count: 8 - left.count - right.count) + right
    }

    private static func firstGap(_ text: Substring) -> Substring.Index? {
        var previous: Substring.Index?
        for index in text.indices {
            if text[index] == ":", let previous, text[previous] == ":" { return previous }
            previous = index
        }
        return nil
    }
}

extension ClientAddress: CustomStringConvertible {
    /// `192.0.2.1`, or eight groups with the longest run of zeros left out (RFC 5952).
    var description: String {
        if self.isV4 {
            let bytes = (0..<4).reversed().map { String(UInt8(truncatingIfNeeded: self.low >> (8 * $0))) }
            return bytes.joined(separator: ".")
        }
        let groups = (0..<8).map { index in
            let half = index < 4 ? self.high : self.low
            return UInt16(truncatingIfNeeded: half >> UInt64(48 - 16 * (index % 4)))
        }
        guard let run = Self.longestZeroRun(groups) else { return Self.text(groups[...]) }
        return Self.text(groups[..<run.lowerBound]) + "::" + Self.text(groups[run.upperBound...])
    }

    private static func text(_ groups: ArraySlice<UInt16>) -> String {
        groups.map { String($0, radix: 16) }.joined(separator: ":")
    }

    private static func longestZeroRun(_ groups: [UInt16]) -> Range<Int>? {
        var best: Range<Int>?
        var start = 0
        while start < groups.count {
            var end = start
            while end < groups.count, groups[end] == 0 { end += 1 }
            if end - start > max(1, best?.count ?? 0) { best = start..<end }
            start = max(end, start + 1)
        }
        return best
    }
}
