import Glibc

/// Random numbers of the kernel, taken many at a time: one call for each would cost an exchange more than its ids are
/// worth. For one thread.
struct KernelRandom: RandomNumberGenerator {
    private var numbers: [UInt64] = Array(repeating: 0, count: Self.taken)
    /// The next one that was not given out.
    private var at = Self.taken

    /// As many as `getentropy` gives: 256 bytes.
    private static let taken = 32

    mutating func next() -> UInt64 {
        if self.at == self.numbers.count { self.refill() }
        defer { self.at += 1 }
        return self.numbers[self.at]
    }

    private mutating func refill() {
        let code = self.numbers.withUnsafeMutableBytes { getentropy($0.baseAddress, $0.count) }
        precondition(code == 0, "getentropy fails on kernels before 3.17 only, and for more than 256 bytes")
        self.at = 0
    }
}
