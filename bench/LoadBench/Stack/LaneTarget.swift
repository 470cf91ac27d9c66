/// Where the load of one lane goes, and whose use is told with it.
public struct LaneTarget: Sendable, Equatable {
    public let lane: String
    public let host: String
    public let port: Int
    /// The authority that the lane's certificate is of; nil: plain.
    public let caFile: String?
    /// `proxy` is the lane's own; a lane without one has nothing between load and mock.
    public let processes: [WatchedProcess]

    public init(lane: String, host: String, port: Int, caFile: String?, processes: [WatchedProcess]) {
        self.lane = lane
        self.host = host
        self.port = port
        self.caFile = caFile
        self.processes = processes
    }
}

/// The lanes that a stack can start.
public enum StackLane: String, Sendable, CaseIterable {
    /// The mock itself.
    case direct
    /// Tollgate that charges nothing.
    case plain
    /// Tollgate with everything on: authentication, hold, journal, capture, ledger.
    case governed
    case nginx
    case haproxy
    case litellm

    /// Tollgate, which asks for keys and keeps books.
    public var isOurs: Bool { self == .plain || self == .governed }
}
