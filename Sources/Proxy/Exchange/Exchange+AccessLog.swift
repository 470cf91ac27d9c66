import Metering
import NIOCore

/// What the access log is told of an exchange when it is over.
extension Exchange {
    func record(status: Int, _ end: AccessRecord.End) -> AccessRecord {
        let now = NIODeadline.now()
        var record = AccessRecord(
            finishedAt: LoopContext.wallMilliseconds(), client: self.client, transport: self.transport,
            minorVersion: self.request.head.minorVersion, method: self.request.method,
            path: self.request.path,
            endpoint: self.route.label, status: status, end: end, requestBytes: self.request.bytesTaken,
            responseBytes: self.responseBytes, duration: now - self.startedAt)
        record.hold = self.hold
        record.trace = self.trace
        record.user = self.account?.userID
        record.model = self.plan?.request.model
        record.stream = self.plan?.stream
        record.firstByte = self.firstByteAt.map { $0 - self.startedAt }
        record.retried = self.retried
        record.upstream = self.sentUpstreamAt.map { (self.upstreamEndedAt ?? now) - $0 }
        record.upstreamRequestID = self.relay?.upstreamRequestID
        record.upstreamReused = self.upstreamReused
        guard let plan = self.plan else { return record }
        record.priceID = plan.price.priceID
        record.waiver = self.waiver
        if self.grant > .zero, self.waiver == nil { record.held = self.grant }
        if let posted = self.posted.value {
            record.charged = posted.charge.amount
            record.inputTokens = posted.usage.inputTotal
            record.outputTokens = posted.usage.outputTotal
            record.estimatedBecause = posted.estimatedBecause
        }
        return record
    }
}
