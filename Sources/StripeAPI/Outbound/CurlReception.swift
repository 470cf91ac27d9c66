import CCurl

/// Collects one reply within its limits. libcurl calls it on the thread that performs the transfer.
final class CurlReception {
    private let bodyBytesMax: Int
    private let headerBytesMax: Int
    private let abortReason: () -> CurlHandle.AbortReason?

    private var headers: [OutboundRequest.Header] = []
    private var headerBytes = 0
    private var isHeadOpen = false
    private var body: [UInt8] = []
    private var isTooLarge = false
    private var aborted: CurlHandle.AbortReason?

    init(_ configuration: OutboundHTTP.Configuration, abortReason: @escaping () -> CurlHandle.AbortReason?) {
        self.bodyBytesMax = configuration.bodyBytesMax
        self.headerBytesMax = configuration.headerBytesMax
        self.abortReason = abortReason
    }

    /// The reception must outlive the transfer: libcurl gets an unretained pointer.
    func attach(to easy: UnsafeMutableRawPointer) -> CURLcode {
        let context = Unmanaged.passUnretained(self).toOpaque()
        return ccurl_set_callbacks(
            easy, context,
            { bytes, size, count, context in
                CurlReception.at(context).takeHeader(
                    UnsafeRawBufferPointer(start: bytes, count: size * count))
            },
            { bytes, size, count, context in
                CurlReception.at(context).takeBody(UnsafeRawBufferPointer(start: bytes, count: size * count))
            },
            { context, _, _, _, _ in CurlReception.at(context).mayContinue() ? 0 : 1 })
    }

    /// After a transfer that libcurl calls a success, which includes a connection that ended within the
    /// headers.
    func result(status: Int) -> OutboundResult {
        guard !self.isHeadOpen, self.headerBytes > 0 else { return .failure(.broken(sent: true)) }
        return .success(OutboundReply(status: status, headers: self.headers, body: self.body))
    }

    func failure(after code: CURLcode, isSent: Bool) -> OutboundFailure {
        switch self.aborted {
        case .cancelled: return .cancelled(sent: isSent)
        case .shutDown: return .shutDown(sent: isSent)
        case nil: break
        }
        if self.isTooLarge { return .replyTooLarge }
        return OutboundFailure(code, isSent: isSent)
    }

    private static func at(_ context: UnsafeMutableRawPointer?) -> CurlReception {
        guard let context else { preconditionFailure("attach(to:) sets the context") }
        return Unmanaged<CurlReception>.fromOpaque(context).takeUnretainedValue()
    }

    /// Anything but the count of bytes ends the transfer.
    private func takeHeader(_ line: UnsafeRawBufferPointer) -> Int {
        self.headerBytes += line.count
        guard self.headerBytes <= self.headerBytesMax else {
            self.isTooLarge = true
            return -1
        }
        if line.starts(with: Array("HTTP/".utf8)) {
            // A new head: the one before was an interim reply, such as 100 Continue.
            self.headers = []
            self.isHeadOpen = true
        } else if line.isEmpty || line.first == UInt8(ascii: "\r") || line.first == UInt8(ascii: "\n") {
            // What follows now are trailers, which nobody here reads.
            self.isHeadOpen = false
        } else if self.isHeadOpen, let colon = line.firstIndex(of: UInt8(ascii: ":")) {
            let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
            let value = String(decoding: line[(colon + 1)...], as: UTF8.self)
            let bare = value.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()
            self.headers.append(.init(name, String(bare)))
        }
        return line.count
    }

    private func takeBody(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard bytes.count <= self.bodyBytesMax - self.body.count else {
            self.isTooLarge = true
            return -1
        }
        self.body.append(contentsOf: bytes)
        return bytes.count
    }

    private func mayContinue() -> Bool {
        if self.aborted == nil { self.aborted = self.abortReason() }
        return self.aborted == nil
    }
}

extension OutboundFailure {
    /// - Parameter isSent: a byte of the request has been written to the connection.
    init(_ code: CURLcode, isSent: Bool) {
        switch code {
        case CURLE_OPERATION_TIMEDOUT: self = .timedOut(sent: isSent)
        // Whatever it says: sent on a kept connection that then died, and not connected again.
        case _ where isSent: self = .broken(sent: true)
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: self = .resolve
        case CURLE_COULDNT_CONNECT: self = .connect
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS:
            self = .tls(.certificate)
        case CURLE_SSL_CACERT_BADFILE: self = .tls(.authorities)
        case CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CIPHER, CURLE_SSL_CERTPROBLEM: self = .tls(.handshake)
        case CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT, CURLE_BAD_FUNCTION_ARGUMENT,
            CURLE_UNKNOWN_OPTION:
            self = .malformedRequest
        default: self = .broken(sent: false)
        }
    }
}
