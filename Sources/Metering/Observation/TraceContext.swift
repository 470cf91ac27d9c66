/// Which trace a request belongs to: the field `traceparent`.
///
/// Source: W3C Trace Context, §3.2: `version-traceid-parentid-flags`, lower-case hexadecimal digits; a later version may
/// add parts at the end. What is malformed counts as absent.
public struct TraceContext: Sendable, Hashable {
    public var traceHigh: UInt64
    public var traceLow: UInt64
    /// The span of whoever sent the request; nil: the trace begins here.
    public var parent: UInt64?
    public var isSampled: Bool

    public init(traceHigh: UInt64, traceLow: UInt64, parent: UInt64?, isSampled: Bool) {
        self.traceHigh = traceHigh
        self.traceLow = traceLow
        self.parent = parent
        self.isSampled = isSampled
    }

    private static let byteCount = 55

    /// - Parameter field: the value, without blanks around it.
    public init?(traceparent field: UnsafeRawBufferPointer) {
        guard field.count >= Self.byteCount else { return nil }
        let dash = UInt8(ascii: "-")
        guard field[2] == dash, field[35] == dash, field[52] == dash,
            let version = Self.hexadecimal(field[0..<2]), version != 0xff,
            version == 0 ? field.count == Self.byteCount : field.count == Self.byteCount || field[55] == dash,
            let high = Self.hexadecimal(field[3..<19]), let low = Self.hexadecimal(field[19..<35]),
            let parent = Self.hexadecimal(field[36..<52]), let flags = Self.hexadecimal(field[53..<55]),
            high != 0 || low != 0, parent != 0
        else { return nil }
        self.init(traceHigh: high, traceLow: low, parent: parent, isSampled: flags & 1 == 1)
    }

    public init?(traceparent text: String) {
        guard
            let context = text.utf8.withContiguousStorageIfAvailable({
                TraceContext(traceparent: UnsafeRawBufferPointer($0))
            }) ?? Array(text.utf8).withUnsafeBytes({ TraceContext(traceparent: $0) })
        else { return nil }
        self = context
    }

    public var traceID: String { Self.text(self.traceHigh) + Self.text(self.traceLow) }

    /// What goes on to the next one, whose parent is `span`.
    public func traceparent(from span: UInt64) -> String {
        "00-\(self.traceID)-\(Self.text(span))-\(self.isSampled ? "01" : "00")"
    }

    /// 16 digits.
    public static func text(_ id: UInt64) -> String {
        let digits = String(id, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    private static func hexadecimal(_ digits: Slice<UnsafeRawBufferPointer>) -> UInt64? {
        var value: UInt64 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - 0x30)
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - 0x57)
            default: return nil
            }
        }
        return value
    }

    /// Whether `tracestate` may go on: at most 512 bytes and 32 members `key=value` of printable characters (§3.3).
    public static func isTraceState(_ text: String) -> Bool {
        guard !text.isEmpty, text.utf8.count <= 512,
            text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f })
        else { return false }
        let members = text.split(separator: ",")
        return members.count <= 32
            && members.allSatisfy { member in
                let parts = member.split(separator: "=", omittingEmptySubsequences: false)
                let key = parts[0].drop { $0 == " " }
                return parts.count == 2 && !parts[1].isEmpty && !key.isEmpty
                    && key.utf8.allSatisfy(Self.isKey)
            }
    }

    private static func isKey(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: "_-*/@".utf8.contains(byte)
        }
    }
}
