import Crypto
import Glibc
import Metering

/// SHA-256 of a file of any size.
public enum FileDigest {
    public struct Unreadable: Error, Sendable, Hashable {
        public var path: String
    }

    private static let chunkBytes = 1 << 20

    /// In hexadecimal.
    public static func sha256(ofFile path: String) throws(Unreadable) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw Unreadable(path: path) }
        defer { close(file) }
        var hash = SHA256()
        var buffer = [UInt8](repeating: 0, count: Self.chunkBytes)
        while true {
            let count = read(file, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Unreadable(path: path) }
            if count == 0 { return Hexadecimal.text(hash.finalize()) }
            hash.update(data: buffer[..<count])
        }
    }
}
