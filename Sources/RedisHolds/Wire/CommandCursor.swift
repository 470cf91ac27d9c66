import Metering
import NIOCore

/// Writes one RESP command into reserved memory: no allocation, no String.
struct CommandCursor {
    private let memory: UnsafeMutableRawBufferPointer
    private(set) var written = 0

    /// What one argument costs beside its own bytes: `$`, up to 10 digits, two line ends.
    static let argumentOverhead = 16
    /// Decimal digits of an Int64 with its sign.
    static let integerBytesMax = DecimalDigits.bytesMax
    /// `*`, a count, EVALSHA with its digest and the key of an account.
    static let headBytesMax = 144

    init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }

    /// `EVALSHA <digest> 1 a:{<account>}`, to be followed by exactly `arguments` arguments.
    @inline(__always)
    mutating func evaluate(_ script: [UInt8], account: AccountID, arguments: Int) {
        self.put(UInt8(ascii: "*"))
        self.digits(Int64(arguments + 4))
        self.lineEnd()
        self.put(script)
        self.put(UInt8(ascii: "$"))
        self.digits(Int64(DecimalDigits.count(of: account) + 4))
        self.lineEnd()
        self.put(UInt8(ascii: "a"))
        self.put(UInt8(ascii: ":"))
        self.put(UInt8(ascii: "{"))
        self.digits(account)
        self.put(UInt8(ascii: "}"))
        self.lineEnd()
    }

    @inline(__always)
    mutating func argument(_ number: Int64) {
        self.length(DecimalDigits.count(of: number))
        self.digits(number)
        self.lineEnd()
    }

    @inline(__always)
    mutating func argument(_ id: HoldID) {
        self.length(HoldID.textBytes)
        id.writeText(to: self.memory, at: self.written)
        self.written += HoldID.textBytes
        self.lineEnd()
    }

    /// nil is the empty text.
    @inline(__always)
    mutating func argument(_ amount: Millicredits?) {
        if let amount { self.argument(amount.value) } else { self.emptyArgument() }
    }

    /// Requests and tokens per minute, streams; nil is the empty text.
    mutating func argument(_ limits: RequestLimits) {
        for kind in RequestLimit.Kind.allCases {
            if let limit = limits[kind] { self.argument(limit) } else { self.emptyArgument() }
        }
    }

    @inline(__always)
    mutating func argument(_ bytes: [UInt8]) {
        self.length(bytes.count)
        self.put(bytes)
        self.lineEnd()
    }

    mutating func argument(_ text: String) {
        self.length(text.utf8.count)
        self.put(text)
        self.lineEnd()
    }

    @inline(__always)
    mutating func emptyArgument() {
        self.length(0)
        self.lineEnd()
    }

    /// `<input estimate>[,<key>,<tokens>][,w]|<price id>|<endpoint>|` and the progress: the tail of an `h:` value; nil
    /// progress is empty.
    @inline(__always)
    mutating func meta(of request: PlaceRequest, progress: Millicredits?) {
        let estimate = request.inputEstimate.value
        let endpoint = request.endpoint.rawValue
        let key = request.limits.areNone ? 0 : request.limits.keyID
        let tokens = request.limits.countedTokens
        let keyBytes =
            key == 0
            ? 0 : DecimalDigits.count(of: key) + 2 + (tokens.map { DecimalDigits.count(of: $0) } ?? 0)
        let markBytes = request.isWaived ? (key == 0 ? 4 : 2) : 0
        self.length(
            DecimalDigits.count(of: estimate) + keyBytes + markBytes + request.priceID.utf8.count
                + endpoint.utf8.count + 3
                + (progress.map { DecimalDigits.count(of: $0.value) } ?? 0))
        self.digits(estimate)
        if key != 0 {
            self.put(UInt8(ascii: ","))
            self.digits(key)
            self.put(UInt8(ascii: ","))
            if let tokens { self.digits(tokens) }
        }
        if request.isWaived { self.put(key == 0 ? ",,,w" : ",w") }
        self.put(UInt8(ascii: "|"))
        self.put(request.priceID)
        self.put(UInt8(ascii: "|"))
        self.put(endpoint)
        self.put(UInt8(ascii: "|"))
        if let progress { self.digits(progress.value) }
        self.lineEnd()
    }

    /// `<amount>`, then arguments that were written before as RESP.
    @inline(__always)
    mutating func prepared(_ arguments: [UInt8]) { self.put(arguments) }

    // MARK: Bytes

    @inline(__always)
    private mutating func length(_ count: Int) {
        self.put(UInt8(ascii: "$"))
        self.digits(Int64(count))
        self.lineEnd()
    }

    @inline(__always)
    private mutating func lineEnd() {
        self.put(UInt8(ascii: "\r"))
        self.put(UInt8(ascii: "\n"))
    }

    @inline(__always)
    private mutating func put(_ byte: UInt8) {
        precondition(self.written < self.memory.count, "the caller reserves enough for its command")
        self.memory[self.written] = byte
        self.written += 1
    }

    @inline(__always)
    private mutating func put(_ bytes: UnsafeRawBufferPointer) {
        precondition(
            bytes.count <= self.memory.count - self.written, "the caller reserves enough for its command")
        guard !bytes.isEmpty else { return }
        UnsafeMutableRawBufferPointer(rebasing: self.memory[self.written...]).copyMemory(from: bytes)
        self.written += bytes.count
    }

    @inline(__always)
    private mutating func put(_ bytes: [UInt8]) { bytes.withUnsafeBytes { self.put($0) } }

    @inline(__always)
    private mutating func put(_ text: String) {
        var text = text
        text.withUTF8 { self.put(UnsafeRawBufferPointer($0)) }
    }

    @inline(__always)
    private mutating func digits(_ number: Int64) {
        self.written += DecimalDigits.write(number, to: self.memory, at: self.written)
    }
}

/// One argument as RESP, for what a session sends with every command.
func preparedArgument(_ text: String) -> [UInt8] {
    Array("$\(text.utf8.count)\r\n\(text)\r\n".utf8)
}
