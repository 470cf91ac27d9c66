import Glibc

/// Why a private store did not start or stop. Never holds a password.
public struct LocalStoresError: Error, CustomStringConvertible {
    /// `postgres`, `initdb`, `redis-server`, …
    public var program: String
    public var step: String
    /// The end of the program's own output.
    public var tail: String

    public var description: String {
        "\(self.program): \(self.step)" + (self.tail.isEmpty ? "" : "\n\(self.tail)")
    }

    /// The error of the system call that has just failed.
    static func system(_ program: String, _ step: String) -> LocalStoresError {
        LocalStoresError(program: program, step: step, tail: String(cString: strerror(errno)))
    }
}
