import NIOCore

/// The `/_mock/…` paths, for tests. They need no key, are not counted and not withheld.
extension ConnectionHandler {
    func control(_ request: MockRequest) {
        let name = String(decoding: request.path.readableBytesView.dropFirst(7), as: UTF8.self)
        switch (request.method, name) {
        case (.post, "barrier"):
            let lifts = request.body.withUnsafeReadableBytes { ReplySeed.contains($0, 0..<$0.count, "false") }
            if lifts { shared.barrier.release() } else { shared.barrier.hold() }
            answer(request, "{\"holding\":\(!lifts)}\n")
        case (.post, "release"):
            shared.barrier.release()
            answer(request, "{\"holding\":false}\n")
        case (.post, "reset"):
            shared.reset()
            answer(request, "{\"reset\":true}\n")
        case (.get, "stats"):
            let now = shared.stats
            answer(
                request,
                """
                {"requests":\(now.requests),"waiting":\(now.waiting),"served":\(now.served),\
                "open":\(now.open),"connections":\(now.connections)}\n
                """)
        case (.get, "log"):
            let query = String(decoding: request.query.readableBytesView, as: UTF8.self)
            let since = query.hasPrefix("since=") ? Int(query.dropFirst(6)) ?? 0 : 0
            rows = shared.log.rows(since: since)[...]
            let count = rows.reduce(0) { $0 + $1.readableBytes }
            listKeepsAlive = request.keepAlive
            let head = head(200, .lines, .length(count), keepAlive: request.keepAlive, (0, 0))
            context?.write(wrapOutboundOut(head), promise: nil)
            phase = .listing
            list()
        default: answer(request, "{\"error\":{\"message\":\"no such control path\"}}\n", status: 404)
        }
    }

    private func answer(_ request: MockRequest, _ text: String, status: Int = 200) {
        guard let context else { return }
        var out = head(status, .json, .length(text.utf8.count), keepAlive: request.keepAlive, (0, 0))
        out.writeString(text)
        let written: EventLoopFuture<Void> = context.writeAndFlush(wrapOutboundOut(out))
        if !request.keepAlive {
            written.assumeIsolated().whenComplete { _ in self.context?.close(promise: nil) }
        }
    }

    /// Sends log rows until they are all out or the peer has enough for now.
    func list() {
        guard phase == .listing, let context else { return }
        while context.channel.isWritable, !rows.isEmpty {
            var out = ByteBuffer()
            while out.readableBytes < 65_536, let row = rows.popFirst() { out.writeImmutableBuffer(row) }
            context.writeAndFlush(wrapOutboundOut(out), promise: nil)
        }
        guard rows.isEmpty else { return }
        rows = []
        let flushed: EventLoopFuture<Void> = context.writeAndFlush(wrapOutboundOut(ByteBuffer()))
        phase = .idle
        if !listKeepsAlive {
            flushed.assumeIsolated().whenComplete { _ in self.context?.close(promise: nil) }
        }
        advance()
    }
}
