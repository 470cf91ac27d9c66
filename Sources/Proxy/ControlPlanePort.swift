import NIOCore

/// One request that is not the data plane's, whole and validated.
public struct ControlRequest: Sendable {
    public var method: String
    /// The raw target, as it stood in the request line.
    public var target: String
    /// Fields in the order of arrival, names as received.
    public var fields: [(name: String, value: String)]
    public var body: ByteBuffer
    public var channel: any Channel
    /// Of whom the request is: the peer, or who a trusted peer says.
    public var client: String
}

public struct ControlResponseHead: Sendable {
    public var status: Int
    public var reason: String
    public var fields: [(name: String, value: String)]

    public init(status: Int, reason: String, fields: [(name: String, value: String)]) {
        self.status = status
        self.reason = reason
        self.fields = fields
    }
}

/// Where a control-plane response goes; each call returns when the client's socket took the bytes
/// (back-pressure).
public protocol ControlResponseWriting: Sendable {
    func head(_ head: ControlResponseHead) async throws
    func body(_ bytes: ByteBuffer) async throws
}

/// The control plane as the data plane sees it: a function called in process, on the same port (DESIGN §3.1).
public protocol ControlPlaneResponding: Sendable {
    /// Writes exactly one head, then the body. Throwing closes the connection.
    func respond(to request: ControlRequest, writer: any ControlResponseWriting) async throws
}
