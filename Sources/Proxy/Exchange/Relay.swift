import Metering
import NIOCore

/// How a response is read and passed on, with what has been seen of it so far. A class, because it changes with
/// every read of a response and copies of it would be most of the work.
final class Relay {
    enum Mode {
        /// SSE: every frame goes on at once; the tap reads the usage out of it.
        case stream(StreamReading)
        /// A whole reply, held until its end, so that its charge can be told in a header.
        case gathering(WholeReading)
        /// A whole reply too large to hold: passed on as it comes.
        case passing(WholeReading)
        /// An upstream error, or a redirect that nobody follows: read to its end, then answered in our words or
        /// passed on.
        case error
        /// Compressed although identity was asked for, or without the body that was asked for: it cannot be metered,
        /// so it is not relayed.
        case unreadable
    }

    var mode: Mode
    private(set) var head: ResponseHead
    /// Holds the bytes that the ranges of `head` refer to, until `slim`.
    private(set) var headBytes: ByteBuffer
    /// The body of `gathering` and `error`; the last piece of `passing`.
    var body = ByteBuffer()
    /// The head went to the client.
    var replyStarted = false
    /// The client's framing is chunked; otherwise it is a length, or the end of the connection.
    var chunked = false
    var charged: Millicredits?

    /// Counts visible text; nil: the encoding of the model is not known.
    private let tokenizer: Tokenizer?
    private let shape: ReplyShape
    private let echo: EchoedPrompt

    init(
        head: ResponseHead, headBytes: ByteBuffer, wantsStream: Bool, shape: ReplyShape, stripUsage: Bool,
        echo: EchoedPrompt = .none, tokenizer: Tokenizer? = nil
    ) {
        self.head = head
        self.tokenizer = tokenizer
        self.shape = shape
        self.echo = echo
        self.headBytes = headBytes
        self.upstreamRequestID = Self.text(head.requestID, headBytes)
        if head.status >= 300 {
            self.mode = .error
        } else if head.status == 204 || !Self.isIdentity(head, headBytes) {
            self.mode = .unreadable
        } else if wantsStream && Self.isEventStream(head, headBytes) {
            self.mode = .stream(StreamReading(SSEUsageTap(shape: shape, stripUsage: stripUsage, echo: echo)))
        } else {
            self.mode = .gathering(WholeReading(JSONUsageScanner(shape: shape, echo: echo)))
        }
    }

    private func newScanner() -> JSONUsageScanner { JSONUsageScanner(shape: self.shape, echo: self.echo) }

    /// The next bytes of a stream.
    ///
    /// - Parameter tokensMax: visible output that may go on; nil: all of it.
    /// - Returns: what goes on; nil when this is no stream.
    func feedStream(_ bytes: ByteBuffer, tokensMax: Int64?) -> SSEUsageTap.Released? {
        guard case .stream(let reading) = self.mode else { return nil }
        reading.tap.visibleTokensMax = tokensMax
        return bytes.withUnsafeReadableBytes { reading.tap.feed($0, self.tokenizer) }
    }

    /// The next bytes of a whole reply.
    func feedWhole(_ bytes: ByteBuffer) {
        switch self.mode {
        case .gathering(let reading):
            // Its texts are counted only if it turns out that they have to be: they stay in `body`.
            bytes.withUnsafeReadableBytes { reading.scanner.feed($0) }
        case .passing(let reading):
            bytes.withUnsafeReadableBytes { reading.scanner.feed($0, self.tokenizer) }
        case .stream, .error, .unreadable:
            break
        }
    }

    /// What was gathered, and what follows, goes on as it comes; its texts are counted from here on.
    /// Returns what was gathered; nil when nothing is.
    func beginPassing() -> ByteBuffer? {
        guard case .gathering = self.mode else { return nil }
        let gathered = self.body
        self.mode = .passing(WholeReading(self.counted(gathered)))
        self.body = ByteBuffer()
        return gathered
    }

    /// Reads a reply from its beginning with its texts counted, in pieces like those in which it came.
    private func counted(_ body: ByteBuffer) -> JSONUsageScanner {
        var scanner = self.newScanner()
        body.withUnsafeReadableBytes { bytes in
            // Each call counts for less than 100 µs and estimates the rest, so few of them are made of a long reply.
            let piece = max(Self.countedAtOnce, bytes.count / Self.countedTimesMax)
            for start in stride(from: 0, to: bytes.count, by: piece) {
                let end = min(start + piece, bytes.count)
                scanner.feed(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), self.tokenizer)
            }
        }
        return scanner
    }

    private static let countedAtOnce = 8 << 10
    private static let countedTimesMax = 16

    /// Upstream's message ended. Returns what a stream had held back.
    func finish() -> SSEUsageTap.Released {
        switch self.mode {
        case .stream(let reading): return reading.tap.finish(self.tokenizer)
        case .gathering(let reading), .passing(let reading): reading.scanner.finish()
        case .error, .unreadable: break
        }
        return SSEUsageTap.Released()
    }

    /// The head went to the client and is not looked at again.
    func slim() {
        self.headBytes = ByteBuffer()
        self.head.dropFields()
    }

    /// `x-request-id` of the response, if it is short enough to keep.
    let upstreamRequestID: String?

    /// Bytes of a line went out whose end did not come.
    var isInsideReleasedLine: Bool {
        if case .stream(let reading) = self.mode { return reading.look { $0.isInsideReleasedLine } }
        return false
    }

    /// The stream said `[DONE]`.
    var sawDone: Bool {
        if case .stream(let reading) = self.mode { return reading.look { $0.sawDone } }
        return false
    }

    /// Visible output so far, in tokens; while a whole reply is gathered, an estimate from its bytes.
    var visibleOutput: Int64 {
        switch self.mode {
        case .stream(let reading): reading.look { $0.visibleTokens }
        case .gathering(let reading), .passing(let reading): reading.look { $0.output.tokens }
        case .error, .unreadable: 0
        }
    }

    func secondPassed() {
        if case .stream(let reading) = self.mode { reading.look { $0.secondPassed() } }
    }

    /// Tokens that must be paid for before a stream that stands still can go on; 0: it does not stand still.
    var neededOutput: Int64 {
        guard case .stream(let reading) = self.mode else { return 0 }
        return reading.look { $0.isExhausted ? $0.neededTokens : 0 }
    }

    /// The number that the next event of a response must have.
    var nextSequenceNumber: Int64 {
        guard case .stream(let reading) = self.mode, let last = reading.look({ $0.sequenceNumber }) else {
            return 0
        }
        return last < .max ? last + 1 : last
    }

    var retryAfterSeconds: Int? {
        guard let range = self.head.retryAfter else { return nil }
        return self.headBytes.withUnsafeReadableBytes { Characters.decimal($0, range) }
    }

    var servedModel: String? {
        switch self.mode {
        case .stream(let reading): reading.look { $0.model }
        case .gathering(let reading), .passing(let reading): reading.look { $0.model }
        case .error, .unreadable: nil
        }
    }

    /// The id under which upstream may keep the response; nil as long as it was not read.
    var responseID: ResponseID? {
        switch self.mode {
        case .stream(let reading): reading.look { $0.identifier }.flatMap { ResponseID($0) }
        case .gathering(let reading), .passing(let reading):
            reading.look { $0.identifier }.flatMap { ResponseID($0) }
        case .error, .unreadable: nil
        }
    }

    /// The tier as the response names it.
    var servedTierLiteral: String? {
        switch self.mode {
        case .stream(let reading): reading.look { $0.serviceTier }
        case .gathering(let reading), .passing(let reading): reading.look { $0.serviceTier }
        case .error, .unreadable: nil
        }
    }

    /// The tier to price at: as served; `default` when the response is silent. nil: one that has no name
    /// here.
    var servedTier: ServiceTier? {
        guard let literal = self.servedTierLiteral else { return .default }
        return ServiceTier(apiLiteral: literal)
    }

    /// What this response proves, as far as it came.
    ///
    /// - Parameters:
    ///   - complete: its message ended as framed.
    ///   - unseen: what came of a stream while it stood still: it is not passed on any more, but may tell the usage.
    func evidence(
        complete: Bool, plan: AdmissionPlan, unseen: ByteBuffer = ByteBuffer(),
        into evidence: inout ExchangeEvidence
    ) {
        switch self.mode {
        case .stream(let reading):
            evidence.response = .success(complete: complete)
            reading.look { self.evidence(of: &$0, complete: complete, plan, unseen, into: &evidence) }
        case .gathering(let reading), .passing(let reading):
            evidence.response = .success(complete: complete)
            reading.look { self.evidence(of: &$0, complete: complete, plan, into: &evidence) }
            if case .reported = evidence.usage { break }
            evidence.visibleOutput = self.countedOutput
        case .error:
            evidence.response = .error(complete: complete)
        case .unreadable:
            evidence.response = .success(complete: complete)
        }
    }

    private func evidence(
        of tap: inout SSEUsageTap, complete: Bool, _ plan: AdmissionPlan, _ unseen: ByteBuffer,
        into evidence: inout ExchangeEvidence
    ) {
        let tools = tap.tools
        evidence.sawToolCalls = !tools.isZero
        evidence.tools = plan.calls(of: tools)
        evidence.stoodStill = tap.isExhausted
        if evidence.stoodStill {
            var ahead = tap
            ahead.visibleTokensMax = nil
            _ = unseen.withUnsafeReadableBytes { ahead.feed($0, self.tokenizer) }
            evidence.usage = Self.usage(ahead.report, malformed: ahead.malformedUsage, plan, evidence.tools)
        } else {
            evidence.usage = Self.usage(tap.report, malformed: tap.malformedUsage, plan, evidence.tools)
        }
        if complete, evidence.usage == .absent, !tap.sawErrorFrame, let silent = plan.silentUsage {
            evidence.usage = .reported(silent)
        }
        evidence.visibleOutput = tap.visibleTokens
        evidence.streamError = tap.sawErrorFrame
    }

    private func evidence(
        of scanner: inout JSONUsageScanner, complete: Bool, _ plan: AdmissionPlan,
        into evidence: inout ExchangeEvidence
    ) {
        evidence.tools = plan.calls(of: scanner.tools)
        // Bytes that are no JSON document can neither tell a usage nor garble one.
        evidence.usage =
            plan.replyIsOpaque
            ? .absent
            : Self.usage(scanner.report, malformed: scanner.malformedUsage, plan, evidence.tools)
        if complete, evidence.usage == .absent, let silent = plan.silentUsage {
            evidence.usage = .reported(silent)
        }
    }

    /// Visible output of a whole reply, in tokens of its model.
    private var countedOutput: Int64 {
        if case .gathering = self.mode { return self.counted(self.body).output.tokens }
        return self.visibleOutput
    }

    private static func usage(
        _ report: ReportedUsage?, malformed: Bool, _ plan: AdmissionPlan, _ tools: ToolCalls
    ) -> ExchangeEvidence.UsageSeen {
        if malformed { return .distrusted(.malformed) }
        guard let report else { return .absent }
        do {
            return .reported(try plan.usage(of: report, tools))
        } catch {
            return .distrusted(error)
        }
    }

    private static func isIdentity(_ head: ResponseHead, _ bytes: ByteBuffer) -> Bool {
        guard let range = head.contentEncoding else { return true }
        guard let encoding = self.text(range, bytes) else { return false }
        return encoding.lowercased() == "identity"
    }

    private static func isEventStream(_ head: ResponseHead, _ bytes: ByteBuffer) -> Bool {
        guard let range = head.contentType else { return false }
        let wanted: StaticString = "text/event-stream"
        let length = wanted.utf8CodeUnitCount
        guard range.count >= length else { return false }
        return bytes.withUnsafeReadableBytes { raw in
            (0..<length).allSatisfy { raw[range.lowerBound + $0] | 0x20 == wanted.utf8Start[$0] | 0x20 }
        }
    }

    private static func text(_ range: Range<Int>?, _ bytes: ByteBuffer) -> String? {
        guard let range, range.count <= 256 else { return nil }
        return bytes.withUnsafeReadableBytes { String(decoding: $0[range], as: UTF8.self) }
    }
}

/// What has been read of a stream. A class, so that it stays where it is: a tap is a kilobyte.
final class StreamReading {
    var tap: SSEUsageTap

    init(_ tap: SSEUsageTap) { self.tap = tap }

    /// Looks at it where it is: whoever asks the property takes a copy first.
    func look<Value>(_ body: (inout SSEUsageTap) -> Value) -> Value { body(&self.tap) }
}

/// What has been read of a whole reply.
final class WholeReading {
    var scanner: JSONUsageScanner

    init(_ scanner: JSONUsageScanner) { self.scanner = scanner }

    /// As `StreamReading.look`.
    func look<Value>(_ body: (inout JSONUsageScanner) -> Value) -> Value { body(&self.scanner) }
}
