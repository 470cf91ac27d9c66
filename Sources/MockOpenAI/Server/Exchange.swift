import Crypto
import NIOCore

/// One request being answered: what the log will say of it, and the state of its reply.
final class Exchange {
    var row: ServedRow
    let keepAlive: Bool
    var plan: (any PlannedReply)?
    var frames: (any ReplyFrames)?
    /// Bytes to send before the next payload: head, interim responses.
    var prelude = ByteBuffer()
    private var gzip: StoredGzip?
    private var hash: SHA256?
    private var chunked = false

    init(_ request: MockRequest, arrival: Int, identity: (UInt64, UInt64), logged: Bool) {
        var row = ServedRow(requestID: identity, path: request.path)
        row.arrival = arrival
        if logged { row.clientRequestID = request.clientRequestID }
        self.row = row
        keepAlive = request.keepAlive
        guard logged else { return }
        self.row.authorization = request.bearer.map { Self.digest($0, 4) }
        self.row.bodyHash = Self.digest(request.body, 32)
        hash = SHA256()
    }

    func begin(chunked: Bool, gzip: Bool) {
        self.chunked = chunked
        self.gzip = gzip ? StoredGzip() : nil
    }

    /// Puts payload into the form it has on the wire.
    func seal(_ payload: ByteBuffer, into out: inout ByteBuffer) {
        if gzip != nil {
            var wrapped = ByteBuffer()
            gzip?.wrap(payload, into: &wrapped)
            frame(wrapped, &out)
        } else {
            frame(payload, &out)
        }
    }

    func sealEnd(into out: inout ByteBuffer) {
        if gzip != nil {
            var wrapped = ByteBuffer()
            gzip?.finish(into: &wrapped)
            frame(wrapped, &out)
        }
        if chunked { out.writeStaticString("0\r\n\r\n") }
    }

    private func frame(_ payload: ByteBuffer, _ out: inout ByteBuffer) {
        noteSent(payload)
        if chunked { out.writeChunkSize(payload.readableBytes) }
        out.writeImmutableBuffer(payload)
        if chunked { out.writeStaticString("\r\n") }
    }

    /// Payload that was sent in another way than `seal`.
    func noteSent(_ payload: ByteBuffer) {
        guard hash != nil else { return }
        payload.withUnsafeReadableBytes { hash?.update(bufferPointer: $0) }
    }

    /// The row as it stands now that the exchange is over.
    func finalRow(completed: Bool) -> ServedRow {
        var row = row
        row.completed = completed
        if let hash { row.replyHash = Self.hexadecimal(hash.finalize(), 32) }
        guard let plan, row.status == 0 || row.status == 200 else { return row }
        row.deltasSent = frames?.deltasSent ?? 0
        if plan.stream {
            row.trueCounts = frames.flatMap { plan.produced(deltas: $0.deltasSent) }
            if frames?.usageSent == true {
                row.usage = plan.loggedUsage()
            }
        } else if row.status == 200 {
            row.trueCounts = plan.produced(deltas: plan.deltasTotal)
            if !plan.faults.contains(.malformed), completed {
                row.usage = plan.loggedUsage()
            }
        }
        return row
    }

    private static func digest(_ bytes: ByteBuffer, _ count: Int) -> ByteBuffer {
        var hash = SHA256()
        bytes.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        return hexadecimal(hash.finalize(), count)
    }

    private static func hexadecimal(_ digest: SHA256.Digest, _ count: Int) -> ByteBuffer {
        var out = ByteBuffer()
        for byte in digest.prefix(count) { out.writeHex(UInt64(byte), digits: 2) }
        return out
    }
}
