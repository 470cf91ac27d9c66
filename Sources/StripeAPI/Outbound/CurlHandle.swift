import CCurl
import Glibc

enum CurlLibrary {
    /// `curl_global_init`, once per process, before any other thread of ours uses libcurl.
    static let isReady = ccurl_global_init() == CURLE_OK
}

/// Owns one easy handle and the connections it keeps. Made, used and freed on one thread.
final class CurlHandle {
    enum AbortReason { case cancelled, shutDown }

    private let easy: UnsafeMutableRawPointer
    private let configuration: OutboundHTTP.Configuration
    private let owner = pthread_self()

    init(_ configuration: OutboundHTTP.Configuration) {
        guard let easy = curl_easy_init() else { preconditionFailure("libcurl is out of memory at start-up") }
        self.easy = easy
        self.configuration = configuration
    }

    deinit { curl_easy_cleanup(self.easy) }

    /// - Parameter abortReason: asked at least once per second; not nil ends the transfer.
    func perform(
        _ request: OutboundRequest, within timeout: Duration, abortReason: @escaping () -> AbortReason?
    ) -> OutboundResult {
        assert(pthread_equal(self.owner, pthread_self()) != 0, "only OutboundCore's worker uses its handle")
        let reception = CurlReception(self.configuration, abortReason: abortReason)
        let headers = CurlHeaders(request.headers)
        curl_easy_reset(self.easy)
        let code = request.body.withUnsafeBytes { body in
            withExtendedLifetime((reception, headers)) {
                let prepared = self.prepare(request, body: body, headers, reception, within: timeout)
                return prepared == CURLE_OK ? curl_easy_perform(self.easy) : prepared
            }
        }
        // Nothing of this request stays in the handle but its connection.
        defer { curl_easy_reset(self.easy) }
        guard code == CURLE_OK else {
            let isSent = ccurl_info_long(self.easy, CURLINFO_REQUEST_SIZE) > 0
            return .failure(reception.failure(after: code, isSent: isSent))
        }
        return reception.result(status: ccurl_info_long(self.easy, CURLINFO_RESPONSE_CODE))
    }

    private func prepare(
        _ request: OutboundRequest, body: UnsafeRawBufferPointer, _ headers: CurlHeaders,
        _ reception: CurlReception,
        within timeout: Duration
    ) -> CURLcode {
        var code = CURLE_OK
        func set(_ option: CURLoption, _ value: Int) {
            if code == CURLE_OK { code = ccurl_set_long(self.easy, option, value) }
        }
        func set(_ option: CURLoption, _ value: String) {
            if code == CURLE_OK { code = ccurl_set_text(self.easy, option, value) }
        }
        set(CURLOPT_NOSIGNAL, 1)
        set(CURLOPT_PROTOCOLS_STR, request.base.isTLS ? "https" : "http")
        set(CURLOPT_FOLLOWLOCATION, 0)
        set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        set(CURLOPT_PATH_AS_IS, 1)
        set(CURLOPT_URL, request.base.description + request.target)
        // An empty text also keeps libcurl from reading `https_proxy` and its like from the environment.
        set(CURLOPT_PROXY, self.configuration.proxy ?? "")
        set(CURLOPT_NOPROXY, "")
        set(CURLOPT_SSL_VERIFYPEER, 1)
        set(CURLOPT_SSL_VERIFYHOST, 2)
        set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        if let file = self.configuration.authoritiesFile { set(CURLOPT_CAINFO, file) }
        set(CURLOPT_TCP_KEEPALIVE, 1)
        set(CURLOPT_TIMEOUT_MS, timeout.curlMilliseconds)
        set(CURLOPT_CONNECTTIMEOUT_MS, min(timeout, self.configuration.connectTimeout).curlMilliseconds)
        set(CURLOPT_LOW_SPEED_LIMIT, 1)
        set(CURLOPT_LOW_SPEED_TIME, max(1, self.configuration.silenceTimeout.curlMilliseconds / 1000))
        if code == CURLE_OK { code = reception.attach(to: self.easy) }
        if code == CURLE_OK { code = ccurl_set_headers(self.easy, headers.list) }
        if code == CURLE_OK, request.method == .post {
            set(CURLOPT_POST, 1)
            // Without a body the pointer may be nil, which would mean "ask a read callback".
            if body.isEmpty { set(CURLOPT_COPYPOSTFIELDS, "") }
            if code == CURLE_OK, !body.isEmpty {
                code = ccurl_set_body(self.easy, body.baseAddress, curl_off_t(body.count))
            }
        }
        return code
    }
}

/// Owns a list of header lines.
private final class CurlHeaders {
    private(set) var list: UnsafeMutablePointer<curl_slist>?

    init(_ headers: [OutboundRequest.Header]) {
        // libcurl would ask for "100 Continue" before a large body and wait a second for it.
        for line in headers.map({ "\($0.name): \($0.value)" }) + ["Expect:"] {
            guard let longer = curl_slist_append(self.list, line) else { break }
            self.list = longer
        }
    }

    deinit { curl_slist_free_all(self.list) }
}

extension Duration {
    /// At least 1: 0 would mean "no limit".
    fileprivate var curlMilliseconds: Int {
        let (seconds, attoseconds) = self.components
        return max(1, Int(clamping: seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000))
    }
}
