import MoneyPath

/// Gathers what makes a node's identity (rule E1) from the answers to its questions. A value.
struct NodeReading {
    /// The questions, in order; all are sent at once. The last one completes the reading.
    static let steps: [GreetingStep] = [.server, .replication, .makeEpochKey, .readEpochKey]

    private(set) var node = NodeIdentity()

    static func command(of step: GreetingStep) -> [String] {
        switch step {
        case .server: ["INFO", "server"]
        case .replication: ["INFO", "replication"]
        case .makeEpochKey: ["SET", Greeting.epochKeyName, Greeting.freshEpochKey(), "NX"]
        case .readEpochKey: ["GET", Greeting.epochKeyName]
        case .authenticate, .select, .loadScript: preconditionFailure("no question about the node")
        }
    }

    mutating func take(_ reply: borrowing RedisReply, of step: GreetingStep) throws(GreetingFailure) {
        if let refusal = reply.refusal { throw .refused(step: step, code: refusal.label) }
        switch step {
        case .server: self.node.runID = try Self.field("run_id", of: reply, step)
        case .replication: self.node.replicationID = try Self.field("master_replid", of: reply, step)
        case .readEpochKey:
            guard let key = reply.text, !key.isEmpty else { throw .unreadable(step: step) }
            self.node.epochKey = key
        case .authenticate, .select, .makeEpochKey, .loadScript: break
        }
    }

    private static func field(
        _ name: String, of reply: borrowing RedisReply, _ step: GreetingStep
    ) throws(GreetingFailure) -> String {
        guard let text = reply.text, let value = Greeting.infoField(name, in: text) else {
            throw .unreadable(step: step)
        }
        return value
    }
}

/// A reading on a connection that is in use: a refusal is an answer to it, and not the end of the connection.
struct NodeInquiry {
    private var reading = NodeReading()
    private var failed: HoldReply?

    mutating func take(_ reply: borrowing RedisReply, of step: GreetingStep) {
        do throws(GreetingFailure) {
            try self.reading.take(reply, of: step)
        } catch {
            self.failed = self.failed ?? reply.refusal.map(HoldReply.refused) ?? .unreadable
        }
    }

    var reply: HoldReply { self.failed ?? .node(self.reading.node) }
}
