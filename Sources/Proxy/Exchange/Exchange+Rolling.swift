import Metering
import NIOCore

/// What upstream sent while a stream waits for the hold store to set more aside.
struct WaitingStream {
    enum End { case complete, cut(UpstreamFailure) }

    /// The stream stands still until an EXTEND is answered.
    var isWaiting = false
    /// Output tokens that were paid for when it came to stand.
    var allowance: Int64 = 0
    /// At most what one read brought: reads pause meanwhile.
    var bytes = ByteBuffer()
    /// How upstream's message ended meanwhile.
    var end: End?
}

/// Streams whose hold grows as they go on. `RollingHold` decides.
extension Exchange {
    func streamed(_ bytes: ByteBuffer) {
        guard !self.waiting.isWaiting else {
            self.waiting.bytes.writeImmutableBuffer(bytes)
            return
        }
        let looked = self.relayStream(bytes)
        guard self.rolling != nil, !self.machine.isSettled else { return }
        if self.isExhausted {
            self.waiting.isWaiting = true
            self.waiting.allowance = self.rolling?.allowance ?? 0
            self.waiting.bytes.writeImmutableBuffer(
                bytes.getSlice(at: bytes.readerIndex + looked, length: bytes.readableBytes - looked)
                    ?? ByteBuffer())
            self.pauseUpstream()
        }
        self.growHold()
    }

    private var isExhausted: Bool {
        guard case .stream(let reading) = self.relay?.mode else { return false }
        return reading.look { $0.isExhausted }
    }

    /// Asks for more when it is time to; ends a stream that waits in vain.
    private func growHold() {
        guard !self.machine.isSettled, let output = self.relay?.visibleOutput else { return }
        let needed = self.relay?.neededOutput ?? 0
        if let total = self.rolling?.passed(output, isExhausted: self.waiting.isWaiting, needed: needed) {
            self.extend(to: total)
        } else if self.waiting.isWaiting, let refusal = self.rolling?.refusal {
            self.creditsEnded(refusal)
        }
    }

    private func extend(to total: Millicredits) {
        self.loop.holds.extend(self.hold, to: total) { answer in self.extended(answer) }
    }

    private func extended(_ answer: ExtendAnswer) {
        guard !self.isOver, !self.machine.isSettled else { return }
        if case .granted(let total) = answer {
            self.machine.extended(to: total)
            self.grant = max(self.grant, total)
        }
        if let rest = self.rolling?.answered(answer) { return self.extend(to: rest) }
        guard self.waiting.isWaiting, let rolling = self.rolling else { return }
        if rolling.coversAll || rolling.allowance > self.waiting.allowance {
            self.goOn()
        } else {
            self.growHold()
        }
    }

    /// What waited is looked at again, under the larger hold.
    private func goOn() {
        let (bytes, end) = (self.waiting.bytes, self.waiting.end)
        self.waiting = WaitingStream()
        self.streamed(bytes)
        guard !self.isOver else { return }
        if self.waiting.isWaiting {
            self.waiting.end = end
            return
        }
        switch end {
        case .complete?: self.upstreamEnd()
        case .cut(let failure)?: self.upstreamClosed(failure)
        case nil:
            guard let connection = self.connection else {
                self.isUpstreamPaused = false
                self.upstream?.resumeReads()
                return
            }
            connection.flush()
            guard self.connection === connection else { return }
            self.downstreamWritabilityChanged(connection.isWritable)
        }
    }

    /// The stream ends here, with what was paid for; its client is told why.
    func creditsEnded(_ refusal: RollingHold.Refusal) {
        self.settle(.creditsEnded)
        self.waiting = WaitingStream()
        self.dropUpstream()
        self.endReply(.refused(self.refusal(for: refusal)))
        self.connection?.flush()
    }

    private func refusal(for refusal: RollingHold.Refusal) -> Refusal {
        switch refusal {
        case .short(let available): .creditsEnded(available: available, redirectTo: self.creditsPage)
        case .capReached(let cap, let limit, let resetsAt):
            .capReached(cap, limit: limit, resetsAtMilliseconds: resetsAt)
        case .blocked: .suspended
        case .takenOver, .unavailable: .unavailable(.deadline)
        }
    }
}
