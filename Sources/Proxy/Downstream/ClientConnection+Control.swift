import NIOCore

/// Requests that are not the data plane's (DESIGN §3.1).
extension ClientConnection {
    func answerControl(_ request: PendingRequest) {
        guard let context = self.context else { return }
        let writer = ControlReplyWriter(
            channel: context.channel, headOnly: request.head.method == .head, close: self.closesAfter,
            chunkedAllowed: request.head.minorVersion == 1)
        let call = request.controlRequest(channel: context.channel)
        let control = self.loop.dependencies.control
        let selfOnLoop = NIOLoopBound(self, eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        // SAFETY: structured by its connection: kept in `controlTask`, cancelled when the channel goes
        // inactive.
        self.controlTask = Task {
            var broken = false
            do {
                try await control.respond(to: call, writer: writer)
                try await writer.end()
            } catch {
                broken = true
            }
            let mustClose = broken
            eventLoop.execute { selfOnLoop.value.controlAnswered(broken: mustClose) }
        }
    }

    private func controlAnswered(broken: Bool) {
        guard case .busy = self.phase else { return }
        self.replyEnded(close: broken)
    }
}
