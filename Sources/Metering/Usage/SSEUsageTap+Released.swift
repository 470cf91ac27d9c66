extension SSEUsageTap {
    /// What goes to the client after a call: first `carried`, then the ranges of the bytes just fed.
    public struct Released: Sendable {
        /// Held back by an earlier call; usually empty.
        public internal(set) var carried: [UInt8] = []
        /// Bytes of the call that were looked at: all, unless the stream is exhausted.
        public internal(set) var consumed = 0
        private var first: Range<Int> = 0..<0
        private var more: [Range<Int>] = []

        public init() {}

        public var byteCount: Int {
            self.more.reduce(self.carried.count + self.first.count) { $0 + $1.count }
        }

        /// In order; usually one.
        public func forEachFreshRange(_ body: (Range<Int>) -> Void) {
            if !self.first.isEmpty { body(self.first) }
            for range in self.more { body(range) }
        }

        /// `range` is not empty, and lies behind those appended before.
        @inline(__always)
        mutating func append(_ range: Range<Int>) {
            if self.first.isEmpty {
                self.first = range
            } else if self.more.isEmpty, self.first.upperBound == range.lowerBound {
                self.first = self.first.lowerBound..<range.upperBound
            } else if let last = self.more.last, last.upperBound == range.lowerBound {
                self.more[self.more.count - 1] = last.lowerBound..<range.upperBound
            } else {
                self.more.append(range)
            }
        }
    }
}
