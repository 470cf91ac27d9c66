/// Why bytes are not an HTTP/1.1 message as Tollgate accepts it. Nothing behind such bytes can be trusted,
/// so the connection closes. Raw values are bounded and carry nothing of the message.
enum HeadFault: String, Error, Sendable, Equatable, CaseIterable {
    case bareLF = "bare line feed"
    case bareCR = "bare carriage return"
    case nulByte = "control character"
    case badRequestLine = "request line"
    case badStatusLine = "status line"
    case badMethod = "method"
    case badTarget = "target"
    case badVersion = "HTTP version"
    case badFieldName = "field name"
    case spaceBeforeColon = "space before colon"
    case obsoleteFold = "folded line"
    case missingHost = "host missing"
    case badHost = "host"
    case repeatedField = "repeated field"
    case badLength = "content-length"
    case lengthAndChunked = "content-length beside transfer-encoding"
    case unknownTransferCoding = "transfer-encoding"
    case unknownExpectation = "expect"
    case headTooLarge = "head too large"
    case tooManyFields = "too many fields"
    /// Of `Connection`.
    case tooManyOptions = "too many connection options"
    case longContentCoding = "content-encoding"
    case badChunk = "chunk"
    case unsolicited = "bytes without a request"
}

/// Result of looking for a head at the start of some bytes.
enum HeadParse<Head> {
    case incomplete
    case complete(Head)
    case invalid(HeadFault)
}

/// How the end of a body is known.
enum BodyFraming: Sendable, Equatable {
    case none
    case length(Int)
    case chunked
    /// Responses only: the body ends with the connection.
    case untilClose
}

/// One field line; ranges into the bytes of the head, the value without surrounding blanks.
struct FieldLine: Sendable, Equatable {
    var line: Range<Int>
    var name: Range<Int>
    var value: Range<Int>
}

struct HeadLimits: Sendable {
    var bytesMax = 32 << 10
    var fieldsMax = 128
}
