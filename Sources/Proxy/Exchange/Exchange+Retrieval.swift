import Metering
import NIOCore

/// What is asked of upstream for a stored response: its path below the endpoint, and the query.
struct Retrieval: Equatable {
    /// `/resp_1?include[]=…`
    let target: [UInt8]
}

/// `GET /v1/responses/{id}`: relayed to the account that made the response, and to nobody else. It was paid for when it
/// was made, and its usage comes again with it, so nothing is held, and nothing is settled. One that was cut was paid for as far
/// as it was seen, while upstream may have finished it: it is not given out.
extension Exchange {
    /// - Parameter range: of the id in the target.
    func retrieve(_ range: Range<Int>) {
        guard self.request.head.method == .get else {
            self.refuse(.notMetered("This endpoint"))
            return
        }
        let targetRange = self.request.head.targetRange
        let target = self.request.text(targetRange) ?? ""
        let id = String(decoding: target.utf8.dropFirst(range.lowerBound).prefix(range.count), as: UTF8.self)
        if let unknown = RetrievalQuery.refused(in: target.utf8.dropFirst(range.upperBound + 1)) {
            self.refuse(.notRetrievedWith(unknown))
            return
        }
        self.find(id, or: .noResponse(id)) { response in
            guard response.isCharged else {
                self.refuse(.noResponse(id))
                return
            }
            // A GET can have a body, too.
            self.connection?.abandonBody()
            self.retrieval = Retrieval(target: [UInt8(ascii: "/")] + target.utf8.dropFirst(range.lowerBound))
            self.awaitUpstream(fresh: false)
        }
    }

    /// Upstream has a connection for us.
    func send(_ retrieval: Retrieval, on connection: UpstreamConnection, reused: Bool) {
        guard !self.isOver, self.connection != nil else {
            connection.release()
            return
        }
        self.upstream = connection
        self.upstreamReused = reused
        let bytes = UpstreamRequest.bytes(
            of: retrieval, self.request, origin: self.loop.configuration.upstream,
            authorization: self.loop.upstreamAuthorization, trace: self.traceLines(),
            buffers: self.loop.buffers)
        let now = NIODeadline.now()
        self.enterUpstream(at: now)
        self.deadline = now + self.loop.configuration.timeouts.upstreamHead
        connection.send(bytes)
    }
}

/// The query of a retrieval. Only names that are known pass, and only as they are usually written: another spelling of
/// `stream` would make the reply something else than one whole response.
enum RetrievalQuery {
    /// The first member that does not pass, as it is written; nil: all of them do.
    static func refused(in query: some Sequence<UInt8>) -> String? {
        let text = String(decoding: Array(query), as: UTF8.self)
        return text.split(separator: "&").lazy.map(String.init).first { !self.passes($0) }
    }

    private static func passes(_ member: String) -> Bool {
        if member == "stream=false" { return true }
        return ["include=", "include[]=", "include%5B%5D=", "include%5b%5d="].contains {
            member.hasPrefix($0)
        }
    }
}

extension Refusal {
    /// - Parameter member: `name=value` of the query.
    static func notRetrievedWith(_ member: String) -> Refusal {
        let name = String(member.prefix { $0 != "=" }.unicodeScalars.prefix(64))
        return Refusal(
            .invalidRequest,
            "A stored response is returned whole: of the query only 'include' passes this gateway.",
            param: name)
    }
}

extension UpstreamRequest {
    /// A request without a body.
    static func bytes(
        of retrieval: Retrieval, _ request: PendingRequest, origin: UpstreamOrigin, authorization: [UInt8],
        trace: String?, buffers: SpareBuffers
    ) -> ByteBuffer {
        var out = buffers.take(request.head.byteCount + 512)
        out.writeStaticString("GET ")
        out.writeBytes(origin.target(of: .responses))
        out.writeBytes(retrieval.target)
        out.writeStaticString(" HTTP/1.1\r\nHost: ")
        out.writeBytes(origin.hostField)
        out.writeBytes(authorization)
        out.writeStaticString("Accept-Encoding: identity\r\n")
        if let trace { out.writeString(trace) }
        request.headBytes.withUnsafeReadableBytes { self.copyFields(request.head, $0, into: &out) }
        out.writeStaticString("\r\n")
        return out
    }
}
