extension MockOpenAIServer {
    /// Process-wide settings. Everything about single replies is in `behaviour` and can be overridden per
    /// request.
    public struct Configuration: Sendable {
        public enum Log: Sendable, Equatable {
            /// Nothing is kept and nothing is hashed: for benches.
            case none
            /// `GET /_mock/log`, at most `logLimit` rows.
            case memory
            /// Appended to the file of that path, unbounded; `GET /_mock/log` is then empty.
            case file(String)
        }

        /// PEM files.
        public struct TLS: Sendable, Equatable {
            public var certificatePath: String
            public var keyPath: String
            public init(certificatePath: String, keyPath: String) {
                self.certificatePath = certificatePath
                self.keyPath = keyPath
            }
        }

        public var host = "127.0.0.1"
        /// 0: a free port; read it from `MockOpenAIServer.port`.
        public var port = 0
        /// The only bearer token that is accepted; nil: any that is not empty.
        public var requiredKey: String?
        /// Known models; `gpt-5.4*` stands for all names with that prefix.
        public var models = MockOpenAIServer.standardModels
        /// Reply with the requested model name rather than the dated snapshot behind it.
        public var echoModel = false
        public var behaviour = Behaviour()
        /// Tier of replies to requests with `auto` or without `service_tier`.
        public var defaultTier = "default"
        /// Share of chat requests, 0…1, that get one fault of `randomFaults`, drawn from `seed` by arrival.
        public var faultRate = 0.0
        public var randomFaults: Faults = []
        public var seed: UInt64 = 1
        public var log = Log.memory
        public var logLimit = 1_000_000
        public var tls: TLS?
        public var bodyBytesMax = 64 << 20

        public init() {}
    }

    /// What `Configuration.models` is unless told otherwise.
    public static var standardModels: [String] { ModelCatalogue.standard }

    /// A moment's counts. `waiting` and `open` are of now, the others since start or reset.
    public struct Stats: Sendable, Equatable {
        /// API requests that were read completely (control requests do not count).
        public var requests: Int
        /// Requests that the barrier withholds.
        public var waiting: Int
        /// Requests whose row is in the log.
        public var served: Int
        /// Requests that are not ended yet.
        public var open: Int
        /// Open connections.
        public var connections: Int
    }
}
