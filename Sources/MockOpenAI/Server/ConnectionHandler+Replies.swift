import NIOCore

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

#if canImport(Glibc)
    private typealias SocketLinger = Glibc.linger
#else
    private typealias SocketLinger = Musl.linger
#endif

/// How replies leave.
extension ConnectionHandler {
    /// A small complete JSON reply.
    func reply(_ status: Int, _ body: ByteBuffer, ending: Ending? = nil) {
        guard let exchange else { return }
        exchange.row.status = status
        exchange.noteSent(body)
        let keepAlive = exchange.keepAlive && ending == nil
        var out = head(
            status, .json, .length(body.readableBytes), keepAlive: keepAlive, exchange.row.requestID)
        out.writeImmutableBuffer(body)
        send(out, then: .finish(completed: true, ending ?? (keepAlive ? .nextRequest : .close)))
    }

    func fail(_ error: ErrorBody, ending: Ending? = nil) {
        var body = ByteBuffer()
        error.writePretty(into: &body)
        reply(error.status, body, ending: ending)
    }

    /// A reply without `stream`.
    func replyWhole(_ plan: any PlannedReply) {
        guard let exchange else { return }
        var plain = context?.channel.allocator.buffer(capacity: 1_024) ?? ByteBuffer()
        plan.writeBody(into: &plain)
        var body = plain
        if plan.faults.contains(.gzip) {
            var gzip = StoredGzip()
            body = ByteBuffer()
            gzip.wrap(plain, into: &body)
            gzip.finish(into: &body)
        }
        let untilClose = plan.faults.contains(.closeDelimited)
        let keepAlive = exchange.keepAlive && !untilClose
        exchange.row.status = 200
        var out = interim(plan)
        out.writeImmutableBuffer(
            head(
                200, plan.contentType, untilClose ? .untilClose : .length(body.readableBytes),
                keepAlive: keepAlive,
                gzip: plan.faults.contains(.gzip), exchange.row.requestID))
        var next = Next.finish(completed: true, keepAlive ? .nextRequest : .close)
        if !plan.faults.isDisjoint(with: [.cut, .cutBody, .cutReset, .stall]) {
            body = body.getSlice(at: body.readerIndex, length: body.readableBytes / 2) ?? body
            next = .finish(completed: false, plan.faults.contains(.cutReset) ? .reset : .close)
            if plan.faults.contains(.stall) { next = .stall }
        }
        exchange.noteSent(body)
        out.writeImmutableBuffer(body)
        send(out, then: next)
    }

    private func interim(_ plan: any PlannedReply) -> ByteBuffer {
        guard plan.faults.contains(.interim) else { return ByteBuffer() }
        return ByteBuffer(
            staticString:
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </mock>; rel=preload\r\n\r\n")
    }

    func startStream(_ plan: any PlannedReply) {
        guard let exchange else { return }
        let untilClose = plan.faults.contains(.closeDelimited)
        let gzip = plan.faults.contains(.gzip)
        var prelude = interim(plan)
        prelude.writeImmutableBuffer(
            head(
                200, .events, untilClose ? .untilClose : .chunked,
                keepAlive: exchange.keepAlive && !untilClose,
                gzip: gzip, exchange.row.requestID))
        exchange.prelude = prelude
        exchange.row.status = 200
        exchange.frames = plan.makeFrames()
        exchange.begin(chunked: !untilClose, gzip: gzip)
        startedAt = .now()
        phase = .streaming
        pump()
    }

    private static let batchBytes = 32_768

    /// Produces as many frames as pace, batch size and the peer's reading permit.
    func pump() {
        guard phase == .streaming, let context, context.channel.isWritable, let plan = exchange?.plan else {
            return
        }
        var out = exchange?.prelude ?? ByteBuffer()
        exchange?.prelude = ByteBuffer()
        let rate = plan.behaviour.tokensPerSecond
        var permitted = Int.max
        if rate > 0 {
            let elapsed = Double((NIODeadline.now() - startedAt).nanoseconds)
            permitted = Int(elapsed * rate / 1e9) - (exchange?.frames?.deltasSent ?? 0)
        }
        var last = ReplyFrame.other
        while out.readableBytes < Self.batchBytes, last == .other || last == .delta {
            if permitted <= 0, exchange?.frames?.nextIsDelta == true {
                wakeForNextDelta(rate)
                break
            }
            scratch.clear()
            last = exchange?.frames?.next(into: &scratch) ?? .end
            if scratch.readableBytes > 0 { exchange?.seal(scratch, into: &out) }
            if last == .delta { permitted -= 1 }
        }
        let keepAlive = exchange?.keepAlive == true && !plan.faults.contains(.closeDelimited)
        switch last {
        case .other, .delta: send(out, then: .pump)
        case .end, .failed:
            exchange?.sealEnd(into: &out)
            send(out, then: .finish(completed: last == .end, keepAlive ? .nextRequest : .close))
        case .broken:
            if plan.faults.contains(.stall) { return send(out, then: .stall) }
            send(out, then: .finish(completed: false, plan.faults.contains(.cutReset) ? .reset : .close))
        }
    }

    private func wakeForNextDelta(_ rate: Double) {
        guard timer == nil, let context, let sent = exchange?.frames?.deltasSent else { return }
        let due = startedAt + .nanoseconds(Int64(min(Double(sent + 1) / rate * 1e9, 1e17).rounded(.up)))
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: due) {
            self.timer = nil
            self.pump()
        }
    }

    /// Writes `out`, all at once or in pieces as the faults demand, then does what comes next.
    func send(_ out: ByteBuffer, then next: Next) {
        guard let faults = exchange?.row.faults, !faults.isDisjoint(with: Faults.drips), out.readableBytes > 0
        else { return sendAtOnce(out, then: next) }
        output = out
        afterOutput = next
        phase = .dripping
        drip()
    }

    private func sendAtOnce(_ out: ByteBuffer, then next: Next) {
        guard let context else { return }
        switch next {
        case .finish(let completed, let ending):
            let logged = conclude(completed: completed)
            write(out, correcting: completed ? logged : nil, ending)
        case .stall:
            phase = .stalled
            if out.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(out), promise: nil) }
        case .pump:
            phase = .streaming
            if out.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(out), promise: nil) }
            // With a timer the pace decides, without room the peer does; else go on after others had their
            // turn.
            if timer == nil, context.channel.isWritable {
                context.eventLoop.assumeIsolated().execute { self.pump() }
            }
        }
    }

    /// The last write of an exchange. When it fails, the row that said `completed` is corrected.
    private func write(
        _ out: ByteBuffer, correcting logged: (row: ServedRow, place: ServedLog.Place)?, _ ending: Ending
    ) {
        guard let context else { return }
        if logged == nil, ending == .nextRequest {
            phase = .idle
            context.writeAndFlush(wrapOutboundOut(out), promise: nil)
            return advance()
        }
        let written = context.eventLoop.makePromise(of: Void.self)
        let log = shared.log
        written.futureResult.assumeIsolated().whenComplete { result in
            if case .failure = result, var logged {
                logged.row.completed = false
                log.correct(logged.row, at: logged.place)
            }
            if ending != .nextRequest { self.end(ending) }
        }
        phase = ending == .nextRequest ? .idle : .lingering
        context.writeAndFlush(wrapOutboundOut(out), promise: written)
        if ending == .nextRequest { advance() }
    }

    /// Ends an exchange that sends nothing more.
    func finish(completed: Bool, _ ending: Ending) {
        _ = conclude(completed: completed)
        end(ending)
    }

    private func end(_ ending: Ending) {
        guard let context else { return }
        phase = .lingering
        switch ending {
        case .nextRequest, .close: context.close(promise: nil)
        case .reset:
            // Closing with a linger time of 0 makes the kernel send RST instead of FIN.
            guard let socket = context.channel as? any SocketOptionProvider else {
                return context.close(promise: nil)
            }
            socket.setSoLinger(SocketLinger(l_onoff: 1, l_linger: 0))
                .assumeIsolated().whenComplete { _ in self.context?.close(promise: nil) }
        case .linger: linger()
        }
    }

    /// Closes our side and drops what the peer still sends, so that it can read our reply before a reset.
    func linger() {
        guard let context else { return }
        phase = .lingering
        context.close(mode: .output, promise: nil)
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(2)) {
            self.context?.close(promise: nil)
        }
    }

    /// Sends the next small piece of `output`.
    func drip() {
        guard phase == .dripping, let context, let faults = exchange?.row.faults else { return }
        let slow = faults.contains(.slowBody)
        dripCount &+= 1
        var size = slow ? 16 : 1 + Int(ReplySeed.scramble(dripCount) % 7)
        if faults.contains(.splitEveryByte) { size = 1 }
        guard let piece = output.readSlice(length: min(size, output.readableBytes)) else { return }
        if output.readableBytes == 0 {
            output = ByteBuffer()
            return sendAtOnce(piece, then: afterOutput)
        }
        context.writeAndFlush(wrapOutboundOut(piece), promise: nil)
        let gap: TimeAmount =
            slow ? .milliseconds(Int64(exchange?.plan?.behaviour.gapMilliseconds ?? 10)) : .nanoseconds(1_000)
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: gap) {
            self.timer = nil
            self.drip()
        }
    }
}
