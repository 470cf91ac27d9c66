import Crypto

/// The text in which a settlement travels: the value of `u:<hold>` in Redis, and what its digest is taken of.
///
///     1;<account>;<hold>;<owner>;<kind>;<authority>;<endpoint>;<model>;<served>;<tier>;<price>;
///     <input>;<cached>;<cache write>;<output>;<reasoning>;<amount>;<cost>;<shadow>;<reason>;<request
///   id>;<occurred>
///
/// on one line. An exchange with parts beyond these five has version 2, and `<parts>` (`name=count,…`) behind the
/// reasoning. One whose response upstream keeps has version 3: with the parts, or `~`, and behind the request id
/// `<response id>`, `<response id>:=` or `<response id>:<input>:<output>`. All others keep version 1, so that what was journaled by an
/// earlier release keeps its digest. In texts every control character, `;`, `%` and `~` is written `%XX`; a single `~`
/// stands for nil. Everything else, any UTF-8 included, stands as it is.
public enum SettlementPayload {
    public static let version = 1
    /// With a field of rare parts.
    public static let versionWithParts = 2
    /// With a field of rare parts and one of the response that upstream keeps.
    public static let versionWithStored = 3
    static let fieldCount = 22
    /// Longer texts (only an upstream can send one) are cut at a character's border when they are written, so
    /// a payload is bounded whatever a peer says.
    public static let textBytesMax = 256
    /// No encoding is longer: five escaped texts, rare parts, and numbers with the id of a response, which are 500.
    public static let encodedBytesMax = 5 * 3 * textBytesMax + 640 + 512
}

/// Why bytes are not a settlement. Carries no content.
public enum SettlementPayloadFailure: Error, Sendable, Hashable {
    case tooLong
    /// Written by a newer release.
    case unknownVersion
    case wrongFieldCount
    /// The field at this position (0 is the version) has no valid value.
    case malformed(field: Int)
    /// Every field is well-formed, but no exchange ends like that (a VOID with a charge).
    case contradictory
}

extension Settlement {
    /// The same settlement always gives the same bytes, at most `SettlementPayload.encodedBytesMax` of them.
    public func encode() -> [UInt8] {
        let parts = self.usage.encodedRareParts
        return [UInt8](unsafeUninitializedCapacity: self.encodedBytesBound(parts)) { memory, written in
            var writer = PayloadWriter(UnsafeMutableRawBufferPointer(memory))
            self.write(parts, to: &writer)
            written = writer.written
        }
    }

    /// No less than what `encode` writes.
    private func encodedBytesBound(_ parts: String?) -> Int {
        func bound(_ text: String?) -> Int { 3 * min(text?.utf8.count ?? 0, SettlementPayload.textBytesMax) }
        // All else: names of this program, numbers, two ids and separators.
        return bound(self.modelRequested) + bound(self.modelServed) + bound(self.servedTier)
            + bound(self.priceID) + bound(self.upstreamRequestID) + (parts?.utf8.count ?? 0)
            + (self.stored.map { $0.payloadText.utf8.count } ?? 0) + 512
    }

    private func write(_ parts: String?, to writer: inout PayloadWriter) {
        writer.put(Int64(self.payloadVersion(parts)))
        writer.put(self.account)
        writer.put(self.hold)
        writer.put(self.owner)
        writer.put(Int64(self.kind.rawValue))
        writer.put(Int64(self.authority.rawValue))
        writer.put(text: self.endpoint.rawValue)
        writer.put(text: self.modelRequested)
        writer.put(text: self.modelServed)
        writer.put(text: self.servedTier)
        writer.put(text: self.priceID)
        writer.put(self.usage.input)
        writer.put(self.usage.cachedInput)
        writer.put(self.usage.cacheWrite)
        writer.put(self.usage.output)
        writer.put(self.usage.reasoning)
        if parts != nil || self.stored != nil { writer.put(plain: parts ?? "~") }
        writer.put(self.charge.amount.value)
        writer.put(self.charge.cost.value)
        writer.put(self.shadow.value)
        writer.put(text: self.estimatedBecause?.rawValue)
        writer.put(text: self.upstreamRequestID)
        if let stored = self.stored { writer.put(plain: stored.payloadText) }
        writer.put(self.occurredAtMilliseconds)
    }

    private func payloadVersion(_ parts: String?) -> Int {
        if self.stored != nil { return SettlementPayload.versionWithStored }
        return parts == nil ? SettlementPayload.version : SettlementPayload.versionWithParts
    }

    /// Reads what `encode` wrote; anything else is refused by name.
    public init(decoding bytes: some Collection<UInt8>) throws(SettlementPayloadFailure) {
        guard bytes.count <= SettlementPayload.encodedBytesMax else { throw .tooLong }
        var reader = PayloadReader(bytes)
        let isStored = reader.isVersion(SettlementPayload.versionWithStored)
        let hasParts = isStored || reader.isVersion(SettlementPayload.versionWithParts)
        guard hasParts || reader.isVersion(SettlementPayload.version) else { throw .unknownVersion }
        let further = (hasParts ? 1 : 0) + (isStored ? 1 : 0)
        guard reader.fields.count == SettlementPayload.fieldCount + further else { throw .wrongFieldCount }
        let account = try reader.integer()
        let (hold, owner) = (try reader.identifier(), try reader.identifier())
        let kind = try reader.value { Int16(exactly: $0).flatMap(Kind.init(rawValue:)) }
        let authority = try reader.value { Int16(exactly: $0).flatMap(Authority.init(rawValue:)) }
        let endpoint = try reader.named(Endpoint.init(rawValue:))
        let modelRequested = try reader.text()
        let (modelServed, servedTier) = (try reader.optionalText(), try reader.optionalText())
        let priceID = try reader.text()
        var usage = Usage(
            input: try reader.integer(), cachedInput: try reader.integer(), cacheWrite: try reader.integer(),
            output: try reader.integer(), reasoning: try reader.integer())
        if hasParts { try reader.parts(into: &usage, orNone: isStored) }
        let amount = try reader.value(Millicredits.init(exactly:))
        let cost = PicoUSD(try reader.integer())
        let shadow = try reader.value(Millicredits.init(exactly:))
        let reason = try reader.optionalNamed(EstimateReason.init(rawValue:))
        let requestID = try reader.optionalText()
        let stored = isStored ? try reader.named(StoredReply.init(payloadText:)) : nil
        let occurredAt = try reader.integer()
        let charge = Charge(amount: amount, cost: cost)
        let isFree = (kind != .void || charge == .zero) && (kind != .waived || amount == .zero)
        guard amount >= .zero, isFree else { throw .contradictory }
        self.init(
            account: account, hold: hold, owner: owner, kind: kind, authority: authority, endpoint: endpoint,
            modelRequested: modelRequested, modelServed: modelServed, servedTier: servedTier,
            priceID: priceID,
            usage: usage, charge: charge, shadow: shadow, estimatedBecause: reason,
            upstreamRequestID: requestID, occurredAtMilliseconds: occurredAt, stored: stored)
    }

    /// First 8 bytes of SHA-256 of `encode()`, big-endian: two outcomes of one hold are the same when amount
    /// and digest are (MONEY_PATH B2).
    public var digest: Int64 {
        let first = SHA256.hash(data: self.encode()).withUnsafeBytes { hash in
            hash.loadUnaligned(as: UInt64.self)
        }
        return Int64(bitPattern: UInt64(bigEndian: first))
    }
}

/// Writes fields with their separators into memory that is large enough for them.
private struct PayloadWriter {
    private let memory: UnsafeMutableRawBufferPointer
    private(set) var written = 0

    init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }

    private mutating func separate() {
        if self.written > 0 { self.put(byte: UInt8(ascii: ";")) }
    }

    private mutating func put(byte: UInt8) {
        precondition(self.written < self.memory.count, "encodedBytesBound() counts every field")
        self.memory[self.written] = byte
        self.written += 1
    }

    mutating func put(_ number: Int64) {
        self.separate()
        self.written += DecimalDigits.write(number, to: self.memory, at: self.written)
    }

    mutating func put(_ id: HoldID) {
        self.separate()
        id.writeText(to: self.memory, at: self.written)
        self.written += HoldID.textBytes
    }

    /// Names and numbers, which need no escapes.
    mutating func put(plain text: String) {
        self.separate()
        var text = text
        text.withUTF8 { self.put(UnsafeRawBufferPointer($0)) }
    }

    mutating func put(text: String?) {
        self.separate()
        guard var text else { return self.put(byte: UInt8(ascii: "~")) }
        text.withUTF8 { bytes in
            let bytes = UnsafeRawBufferPointer(
                rebasing: UnsafeRawBufferPointer(bytes)[..<Self.bounded(bytes)])
            // Names seldom need an escape.
            if Self.needsEscape(bytes) {
                for byte in bytes { self.put(escaped: byte) }
            } else {
                self.put(bytes)
            }
        }
    }

    private mutating func put(_ bytes: UnsafeRawBufferPointer) {
        precondition(
            bytes.count <= self.memory.count - self.written, "encodedBytesBound() counts every field")
        guard !bytes.isEmpty else { return }
        UnsafeMutableRawBufferPointer(rebasing: self.memory[self.written...]).copyMemory(from: bytes)
        self.written += bytes.count
    }

    @inline(__always)
    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 32 || byte == UInt8(ascii: ";") || byte == UInt8(ascii: "%") || byte >= 126 && byte <= 127
    }

    /// Eight at once; the last eight may overlap those in front of them.
    private static func needsEscape(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count >= 8 else { return bytes.contains(where: Self.needsEscape) }
        var at = 0
        while at + 8 <= bytes.count {
            if ByteSearch.needsEscape(bytes, at) { return true }
            at += 8
        }
        return ByteSearch.needsEscape(bytes, bytes.count - 8)
    }

    private mutating func put(escaped byte: UInt8) {
        guard Self.needsEscape(byte) else { return self.put(byte: byte) }
        self.put(byte: UInt8(ascii: "%"))
        self.put(byte: Self.digit(byte >> 4))
        self.put(byte: Self.digit(byte & 15))
    }

    private static func digit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? 48 + nibble : 55 + nibble }

    /// Bytes of the longest prefix of whole scalars that is not longer than `textBytesMax`.
    private static func bounded(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        var end = SettlementPayload.textBytesMax
        guard bytes.count > end else { return bytes.count }
        while bytes[end] & 0xc0 == 0x80 { end -= 1 }
        return end
    }
}

/// Takes the fields in the order in which they were written.
private struct PayloadReader {
    let fields: [[UInt8]]
    private var next = 1

    init(_ bytes: some Collection<UInt8>) {
        self.fields = Array(bytes)
            .split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false).map { Array($0) }
    }

    func isVersion(_ version: Int) -> Bool {
        guard let first = self.fields.first else { return false }
        return first.elementsEqual(String(version).utf8)
    }

    private mutating func take() -> (bytes: [UInt8], field: Int) {
        defer { self.next += 1 }
        return (self.fields[self.next], self.next)
    }

    mutating func value<Value>(_ make: (Int64) -> Value?) throws(SettlementPayloadFailure) -> Value {
        let (bytes, field) = self.take()
        let text = String(decoding: bytes, as: UTF8.self)
        // The detour over the canonical text refuses "+5", "007" and "-0": one settlement has one encoding.
        guard let number = Int64(text), String(number) == text, let value = make(number) else {
            throw .malformed(field: field)
        }
        return value
    }

    mutating func integer() throws(SettlementPayloadFailure) -> Int64 { try self.value { $0 } }

    mutating func parts(into usage: inout Usage, orNone: Bool) throws(SettlementPayloadFailure) {
        let (bytes, field) = self.take()
        if orNone, bytes == [UInt8(ascii: "~")] { return }
        guard usage.decodeRareParts(String(decoding: bytes, as: UTF8.self)) else {
            throw .malformed(field: field)
        }
    }

    mutating func identifier() throws(SettlementPayloadFailure) -> HoldID {
        let (bytes, field) = self.take()
        guard let id = HoldID(text: String(decoding: bytes, as: UTF8.self)) else {
            throw .malformed(field: field)
        }
        return id
    }

    mutating func optionalText() throws(SettlementPayloadFailure) -> String? {
        let (bytes, field) = self.take()
        guard bytes != [UInt8(ascii: "~")] else { return nil }
        guard let text = Self.unescaped(bytes) else { throw .malformed(field: field) }
        return text
    }

    mutating func text() throws(SettlementPayloadFailure) -> String {
        let field = self.next
        guard let text = try self.optionalText() else { throw .malformed(field: field) }
        return text
    }

    mutating func named<Value>(_ make: (String) -> Value?) throws(SettlementPayloadFailure) -> Value {
        let field = self.next
        guard let value = make(try self.text()) else { throw .malformed(field: field) }
        return value
    }

    mutating func optionalNamed<Value>(_ make: (String) -> Value?) throws(SettlementPayloadFailure) -> Value?
    {
        let field = self.next
        guard let text = try self.optionalText() else { return nil }
        guard let value = make(text) else { throw .malformed(field: field) }
        return value
    }

    private static func unescaped(_ bytes: [UInt8]) -> String? {
        var plain: [UInt8] = []
        plain.reserveCapacity(bytes.count)
        var at = 0
        while at < bytes.count {
            if bytes[at] == UInt8(ascii: "%") {
                guard at + 2 < bytes.count, let high = nibble(bytes[at + 1]), let low = nibble(bytes[at + 2])
                else { return nil }
                plain.append(high << 4 | low)
                at += 3
            } else {
                guard bytes[at] != UInt8(ascii: "~"), bytes[at] >= 32, bytes[at] != 127 else { return nil }
                plain.append(bytes[at])
                at += 1
            }
        }
        guard plain.count <= SettlementPayload.textBytesMax else { return nil }
        return String(validating: plain, as: UTF8.self)
    }

    private static func nibble(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 48...57: digit - 48
        case 65...70: digit - 55
        default: nil
        }
    }
}
