import Glibc
import Metering

/// On standard input, all little endian: operation (1 byte), encoding (1), 2 unused, argument (4), length of the text
/// (4), the text.
struct BenchRequest {
    var operation: UInt8
    var encoding: TokenEncoding
    var argument: UInt32
    var text: [UInt8]

    private static let headBytes = 12

    /// nil: nothing comes any more, or nothing that is a request.
    static func read() -> BenchRequest? {
        guard let head = self.bytes(self.headBytes),
            let encoding = TokenEncoding(rawValue: UInt32(head[1])),
            let text = self.bytes(Int(self.number(head[8...])))
        else { return nil }
        return BenchRequest(
            operation: head[0], encoding: encoding, argument: self.number(head[4...]), text: text)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    private static func bytes(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var got = 0
        while got < count {
            let more = bytes.withUnsafeMutableBytes { bytes in
                Glibc.read(STDIN_FILENO, bytes.baseAddress?.advanced(by: got), count - got)
            }
            guard more > 0 else { return nil }
            got += more
        }
        return bytes
    }
}

/// On standard output: how many numbers (4 bytes), and the numbers, 4 bytes each.
struct BenchAnswer {
    var numbers: [UInt32]

    func write() {
        let all = [UInt32(self.numbers.count)] + self.numbers
        all.withUnsafeBytes { bytes in
            var written = 0
            while written < bytes.count {
                let more = Glibc.write(
                    STDOUT_FILENO, bytes.baseAddress?.advanced(by: written), bytes.count - written)
                guard more > 0 else { exit(1) }
                written += more
            }
        }
    }
}
