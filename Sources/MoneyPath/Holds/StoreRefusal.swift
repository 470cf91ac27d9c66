/// An error reply of Redis, by its code word. The message itself goes nowhere: it may quote arguments.
public enum StoreRefusal: Sendable, Hashable {
    /// Scripts are gone (SCRIPT FLUSH, fail-over): load them and send again; nothing was executed.
    case noScript
    /// Definitely not executed (MONEY_PATH A13, K5).
    case notExecuted(NotExecuted)
    /// Some other error: whether anything was executed is not known.
    case unknown

    public enum NotExecuted: String, Sendable, CaseIterable {
        case loading = "LOADING"
        case outOfMemory = "OOM"
        case misconfigured = "MISCONF"
        case readOnly = "READONLY"
        case noReplicas = "NOREPLICAS"
        case busy = "BUSY"
        case moved = "MOVED"
        case ask = "ASK"
        case tryAgain = "TRYAGAIN"
        case clusterDown = "CLUSTERDOWN"
        case masterDown = "MASTERDOWN"
        case noAuthentication = "NOAUTH"
        case wrongPassword = "WRONGPASS"
        case noPermission = "NOPERM"
        /// Every script reads the key before it writes, so a key of another type stops it in time.
        case wrongType = "WRONGTYPE"
    }

    public init(errorMessage message: UnsafeRawBufferPointer) {
        let word = message.prefix { $0 != UInt8(ascii: " ") }
        if word.elementsEqual("NOSCRIPT".utf8) {
            self = .noScript
        } else if let known = NotExecuted(rawValue: String(decoding: word.prefix(16), as: UTF8.self)) {
            self = .notExecuted(known)
        } else {
            self = .unknown
        }
    }

    /// Safe for logs and labels.
    public var label: String {
        switch self {
        case .noScript: "NOSCRIPT"
        case .notExecuted(let code): code.rawValue
        case .unknown: "ERR"
        }
    }

    /// The node is the wrong one to talk to, now and later: look for it again.
    public var mustReconnect: Bool {
        switch self {
        case .notExecuted(.readOnly), .notExecuted(.masterDown), .notExecuted(.noAuthentication),
            .notExecuted(.clusterDown):
            true
        case .noScript, .notExecuted, .unknown: false
        }
    }
}
