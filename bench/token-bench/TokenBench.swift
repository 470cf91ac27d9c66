import Glibc
import Metering
import TokenTables

/// Answers the questions of `scripts/tokenizer_check.py`.
struct TokenBench {
    private let tokenizers: [TokenEncoding: Tokenizer]

    init(tables: String) throws {
        var tokenizers: [TokenEncoding: Tokenizer] = [:]
        for encoding in TokenEncoding.allCases {
            let table = try MappedTokenTable.open(encoding, at: "\(tables)/\(encoding.tableFileName)")
            tokenizers[encoding] = Tokenizer(table)
        }
        self.tokenizers = tokenizers
    }

    func answer(_ request: BenchRequest) -> BenchAnswer {
        guard let tokenizer = self.tokenizers[request.encoding] else { return BenchAnswer(numbers: []) }
        switch request.operation {
        case UInt8(ascii: "e"):
            return BenchAnswer(numbers: tokenizer.encode(request.text))
        case UInt8(ascii: "c"):
            return BenchAnswer(numbers: [UInt32(tokenizer.count(request.text))])
        case UInt8(ascii: "r"):
            return BenchAnswer(numbers: [self.countRandomParts(request, tokenizer)])
        case UInt8(ascii: "a"):
            return BenchAnswer(numbers: self.countSlices(request, tokenizer))
        case UInt8(ascii: "t"):
            return BenchAnswer(numbers: [self.time { _ = tokenizer.count(request.text) }])
        case UInt8(ascii: "i"):
            return BenchAnswer(numbers: [self.time { _ = tokenizer.encode(request.text) }])
        default:
            return BenchAnswer(numbers: [])
        }
    }

    /// The count of a text in parts whose lengths come from the argument as a seed.
    private func countRandomParts(_ request: BenchRequest, _ tokenizer: Tokenizer) -> UInt32 {
        var seed = UInt64(request.argument)
        var counting = TokenCounting()
        var at = 0
        request.text.withUnsafeBufferPointer { text in
            while at < text.count {
                seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                // Up to 8, 64, 512 or 4096 bytes.
                let most = UInt64(8) << (3 * (seed >> 60 & 3))
                let count = min(text.count - at, Int((seed >> 30) % most) + 1)
                counting.feed(UnsafeBufferPointer(rebasing: text[at..<at + count]), tokenizer)
                at += count
            }
        }
        return UInt32(counting.finish(tokenizer))
    }

    /// The count in slices of a budget, how many there were, and the CPU time in ns: all, the longest, the tenth longest.
    private func countSlices(_ request: BenchRequest, _ tokenizer: Tokenizer) -> [UInt32] {
        var counting = TokenCounting()
        var at = 0
        var times: [UInt32] = []
        request.text.withUnsafeBufferPointer { text in
            while at < text.count {
                times.append(
                    self.time {
                        let rest = UnsafeBufferPointer(rebasing: text[at...])
                        at += counting.advance(rest, budget: Int(request.argument), tokenizer)
                    })
            }
        }
        var tokens = 0
        times.append(self.time { tokens = counting.finish(tokenizer) })
        times.sort(by: >)
        let all = times.reduce(0) { $0 &+ UInt64($1) }
        return [
            UInt32(tokens), UInt32(times.count), UInt32(truncatingIfNeeded: all), times[0],
            times[min(9, times.count - 1)],
        ]
    }

    private func time(_ work: () -> Void) -> UInt32 {
        let start = Self.threadNanoseconds()
        work()
        return UInt32(clamping: Self.threadNanoseconds() - start)
    }

    private static func threadNanoseconds() -> UInt64 {
        var now = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now)
        return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    }
}
