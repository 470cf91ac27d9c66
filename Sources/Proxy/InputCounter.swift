import Metering
import NIOCore

/// Counts the texts of requests on one event loop: the beginning at once, which is all of a usual prompt, the rest of
/// long ones in slices, by turns.
final class InputCounter {
    private struct Job {
        var exchange: Exchange
        var request: InspectedRequest
        var counting: InputCounting
        var tokenizer: Tokenizer
    }

    private let eventLoop: any EventLoop
    private let encodings: EncodingTables
    private var tokenizers: [TokenEncoding: Tokenizer] = [:]
    /// The model that was asked for last: most requests are of the same.
    private var last: (model: String, encoding: TokenEncoding?) = ("", nil)
    private var jobs = CircularBuffer<Job>()

    /// A slice ends behind the step in which this much has passed. Half of the 100 µs that a slice may take, since a
    /// step on memory that is in no cache takes up to half of them by itself.
    private static let sliceMax = TimeAmount.microseconds(50)
    /// Half of what `TokenCounting` takes less than 100 µs for.
    private static let stepsAtOnce = TokenCounting.budgetDefault / 2

    init(_ eventLoop: any EventLoop, _ encodings: EncodingTables) {
        self.eventLoop = eventLoop
        self.encodings = encodings
    }

    /// `exchange.admit` follows, at once or in a later turn of the loop, unless the exchange is over by then.
    func count(_ request: InspectedRequest, of exchange: Exchange) {
        guard let encoding = self.encoding(of: request.model),
            var counting = InputCounting(request, encoding), let tokenizer = self.tokenizer(encoding)
        else {
            exchange.admit(request, CountedInput())
            return
        }
        if Self.slice(&counting, of: exchange, tokenizer) {
            exchange.admit(request, counting.counted)
            return
        }
        self.jobs.append(Job(exchange: exchange, request: request, counting: counting, tokenizer: tokenizer))
        if self.jobs.count == 1 { self.scheduleTurn() }
    }

    /// For the text of replies; nil: the model has no encoding that is known here.
    func tokenizer(model: String) -> Tokenizer? { self.encoding(of: model).flatMap { self.tokenizer($0) } }

    private func encoding(of model: String) -> TokenEncoding? {
        if model != self.last.model { self.last = (model, TokenEncoding(model: model)) }
        return self.last.encoding
    }

    /// Made by the first request of its kind, since each takes 170 KB.
    private func tokenizer(_ encoding: TokenEncoding) -> Tokenizer? {
        if let known = self.tokenizers[encoding] { return known }
        guard let table = self.encodings[encoding] else { return nil }
        let tokenizer = Tokenizer(table)
        self.tokenizers[encoding] = tokenizer
        return tokenizer
    }

    /// - Returns: whether all is counted.
    private static func slice(_ counting: inout InputCounting, of exchange: Exchange, _ tokenizer: Tokenizer)
        -> Bool
    {
        let end = NIODeadline.now() + self.sliceMax
        return exchange.request.body.withUnsafeReadableBytes { body in
            repeat {
                if counting.advance(body, steps: self.stepsAtOnce, tokenizer) { return true }
            } while NIODeadline.now() < end
            return false
        }
    }

    private func scheduleTurn() {
        let selfOnLoop = NIOLoopBound(self, eventLoop: self.eventLoop)
        // As `LoopContext.scheduleTurn`: the loop looks at its sockets between two slices.
        self.eventLoop.scheduleTask(in: .microseconds(20)) { selfOnLoop.value.takeTurn() }
    }

    private func takeTurn() {
        // Its place stays taken meanwhile, so that no second turn is scheduled.
        if var job = self.jobs.first {
            let isOver = job.exchange.isOver
            let isDone = !isOver && Self.slice(&job.counting, of: job.exchange, job.tokenizer)
            if isDone { job.exchange.admit(job.request, job.counting.counted) }
            self.jobs.removeFirst()
            if !isOver, !isDone { self.jobs.append(job) }
        }
        if !self.jobs.isEmpty { self.scheduleTurn() }
    }
}
