import NIOCore

/// Asks the upstream itself, once for each template, what it answers.
public struct ReferenceRun: Sendable {
    private let requests: RequestPlan
    private let target: LoadTarget
    private let key: String
    private let pricer: UsagePricer?

    public struct Failure: Error, CustomStringConvertible {
        public var description: String
    }

    /// - Parameters:
    ///   - key: that the upstream takes.
    ///   - pricer: nil: what the replies cost does not matter.
    public init(_ requests: RequestPlan, target: LoadTarget, key: String, pricer: UsagePricer?) {
        self.requests = requests
        self.target = target
        self.key = key
        self.pricer = pricer
    }

    /// - Throws: `Failure` when a reply is not a whole 200, or tells no usage that has a price.
    public func expected(on group: any EventLoopGroup) async throws -> [ExpectedReply] {
        let running = self.requests.templates.map { self.ask($0, on: group.next()) }
        var replies: [ExpectedReply] = []
        for future in running { replies.append(try self.judge(try await future.get())) }
        return replies
    }

    private func judge(_ reader: ReplyReader) throws(Failure) -> ExpectedReply {
        guard reader.status == 200 else {
            throw Failure(
                description: "the upstream answered \(reader.status ?? 0) to a request of the scenario")
        }
        let due = self.pricer.map { $0.price(of: reader.tail) }
        if case .some(nil) = due {
            throw Failure(description: "the upstream's reply has no usage that can be priced")
        }
        return ExpectedReply(
            digest: reader.digest, bodyBytes: reader.bodyBytes, dueMillicredits: due ?? nil)
    }

    private func ask(_ template: RequestPlan.Template, on loop: any EventLoop) -> EventLoopFuture<ReplyReader>
    {
        let head = """
            POST \(self.requests.endpoint.path) HTTP/1.1\r
            Host: \(self.target.authority)\r
            Authorization: Bearer \(self.key)\r
            Connection: close\r
            Content-Type: application/json\r
            Content-Length: \(template.body.count)\r
            \r

            """
        return OneExchange.send(Array(head.utf8) + template.body, to: self.target, on: loop)
    }
}
