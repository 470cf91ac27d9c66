import NIOCore

/// Requests that are not the data plane's (DESIGN §3.1).
extension ClientConnection {
    func answerControl(_ request: PendingRequest) {
        guard let context = self.context else { return }
        self.saidClose = self.closesAfter
        let writer = ControlReplyWriter(
            channel: context.channel, headOnly: request.head.method == .head, close: self.saidClose,
            chunkedAllowed: request.head.minorVersion == 1,
            announcesKeepAlive: request.head.announcesKeepAlive)
        self.controlWriter = writer
        self.direct?.noteWrite()
        let call = request.controlRequest(
            channel: context.channel,
            client: self.loop.configuration.trustedPeers.client(peer: self.peer, of: request))
        let began = NIODeadline.now()
        let control = self.loop.dependencies.control
        let selfOnLoop = NIOLoopBound(self, eventLoop: context.eventLoop)
        let requestOnLoop = NIOLoopBound(request, eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        // SAFETY: structured by its connection: kept in `controlTask`, cancelled when the channel goes
        // inactive.
        self.controlTask = Task {
            var broken = false
            var closes = false
            do {
                try await control.respond(to: call, writer: writer)
                try await writer.end()
            } catch is ControlReplyWriter.EndsWithConnection {
                closes = true
            } catch {
                broken = true
            }
            let (isBroken, mustClose) = (broken, broken || closes)
            eventLoop.execute {
                selfOnLoop.value.controlAnswered(
                    requestOnLoop.value, broken: isBroken, closes: mustClose, writer: writer, began: began)
            }
        }
    }

    private func controlAnswered(
        _ request: PendingRequest, broken: Bool, closes: Bool, writer: ControlReplyWriter, began: NIODeadline
    ) {
        // A stream of HTTP/2 is over with its last byte, so a whole reply counts whatever became of the channel.
        let isOpen = if case .busy = self.phase { true } else { false }
        let isGone = broken && !isOpen
        self.log(
            request, status: isGone ? Status.clientClosed : writer.status ?? 500,
            isGone ? .clientGone : broken ? .failed : .complete, bytes: writer.bytesWritten, began: began,
            id: writer.requestID)
        self.controlWriter = nil
        guard isOpen else { return }
        self.replyEnded(close: closes)
    }

    /// The line of a request that has no exchange.
    func log(
        _ request: PendingRequest, status: Int, _ end: AccessRecord.End, bytes: Int, began: NIODeadline,
        id: String? = nil
    ) {
        self.loop.log {
            var record = AccessRecord(
                finishedAt: LoopContext.wallMilliseconds(),
                client: self.loop.configuration.trustedPeers.client(peer: self.peer, of: request),
                transport: self.transport, minorVersion: request.head.minorVersion, method: request.method,
                path: request.path, endpoint: request.plane.metricLabel, status: status, end: end,
                requestBytes: request.bytesTaken, responseBytes: bytes, duration: .now() - began)
            record.trace = request.traceContext
            record.controlRequestID = id
            return record
        }
    }
}
