/// A whole reply as its client got it, to be given once more to a retry with the same `Idempotency-Key`.
public struct KeptReply: Sendable, Equatable {
    /// 200 to 299.
    public var status: Int
    /// Field lines, each with its CRLF: what upstream said and what Tollgate said of the exchange. Those of framing and
    /// of the connection are made anew.
    public var fields: [UInt8]
    /// Without framing; of a stream its events.
    public var body: [UInt8]

    public init(status: Int, fields: [UInt8], body: [UInt8]) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    private static let format: UInt8 = 1
    private static let headBytes = 7

    /// Format, status (2 bytes), length of the fields (4 bytes), fields, body; numbers are big-endian.
    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.headBytes + self.fields.count + self.body.count)
        bytes.append(Self.format)
        for shift in [8, 0] { bytes.append(UInt8(truncatingIfNeeded: self.status >> shift)) }
        for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: self.fields.count >> shift)) }
        bytes += self.fields
        bytes += self.body
        return bytes
    }

    /// nil: bytes of another format.
    init?(encoded bytes: [UInt8]) {
        guard bytes.count >= Self.headBytes, bytes[0] == Self.format else { return nil }
        let status = bytes[1..<3].reduce(0) { $0 << 8 | Int($1) }
        let fieldBytes = bytes[3..<Self.headBytes].reduce(0) { $0 << 8 | Int($1) }
        guard 200...299 ~= status, fieldBytes <= bytes.count - Self.headBytes else { return nil }
        let bodyStart = Self.headBytes + fieldBytes
        self.init(
            status: status, fields: Array(bytes[Self.headBytes..<bodyStart]), body: Array(bytes[bodyStart...])
        )
    }
}
