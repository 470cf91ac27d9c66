/// Reads numbers out of bytes whose bounds the caller has checked.
enum MediaBytes {
    static func starts(_ bytes: UnsafeRawBufferPointer, _ text: StaticString, at offset: Int = 0) -> Bool {
        let count = text.utf8CodeUnitCount
        return bytes.count >= offset + count
            && (0..<count).allSatisfy { bytes[offset + $0] == text.utf8Start[$0] }
    }

    /// `withUnsafeBytes` with a typed error.
    static func look<Answer>(
        at bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(AudioFault) -> Answer
    ) throws(AudioFault) -> Answer {
        let answer: Result<Answer, AudioFault> = bytes.withUnsafeBytes { raw in
            do throws(AudioFault) { return .success(try body(raw)) } catch { return .failure(error) }
        }
        return try answer.get()
    }

    static func big16(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt32 {
        UInt32(bytes[at]) << 8 | UInt32(bytes[at + 1])
    }

    static func big24(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt32 {
        self.big16(bytes, at) << 8 | UInt32(bytes[at + 2])
    }

    static func big32(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt32 {
        self.big16(bytes, at) << 16 | self.big16(bytes, at + 2)
    }

    static func big64(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt64 {
        UInt64(self.big32(bytes, at)) << 32 | UInt64(self.big32(bytes, at + 4))
    }

    static func little16(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt32 {
        UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8
    }

    static func little32(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt32 {
        self.little16(bytes, at) | self.little16(bytes, at + 2) << 16
    }

    static func little64(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt64 {
        UInt64(self.little32(bytes, at)) | UInt64(self.little32(bytes, at + 4)) << 32
    }
}

/// Adds up samples of one or more rates. All sums stop at the largest number instead of wrapping.
struct SampleClock: Sendable, Equatable {
    /// Samples per second that some decoder plays. Where a header says more, it may take another number of its own, and
    /// hear longer than is measured here.
    static let rates: ClosedRange<Int64> = 1...768_000

    /// Of the stretches at other rates before, each rounded up.
    private var microseconds: Int64 = 0
    private var samples: Int64 = 0
    private var rate: Int64 = 1

    /// - Parameter rate: samples per second, at least 1.
    mutating func add(_ samples: Int64, at rate: Int64) {
        if rate != self.rate {
            self.microseconds = Self.sum(self.microseconds, self.inMicroseconds)
            self.samples = 0
            self.rate = max(1, rate)
        }
        self.samples = Self.sum(self.samples, max(0, samples))
    }

    /// Rounded up.
    var milliseconds: Int64 {
        let all = Self.sum(self.microseconds, self.inMicroseconds)
        return all / 1000 + (all % 1000 == 0 ? 0 : 1)
    }

    private var inMicroseconds: Int64 {
        let exact = Int128(self.samples) * 1_000_000 + Int128(self.rate - 1)
        return Int64(clamping: exact / Int128(self.rate))
    }

    private static func sum(_ one: Int64, _ other: Int64) -> Int64 {
        let (sum, overflow) = one.addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
