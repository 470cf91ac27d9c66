import Foundation
import Glibc

/// A program that runs to its end, and what it wrote.
struct ToolRun: Sendable {
    let name: String
    let status: Int32
    let output: String
    let errors: String

    /// Runs `arguments`; what takes longer than `seconds` is killed, which is an error.
    ///
    /// - Parameter scratch: a directory for its output while it runs.
    static func run(
        _ arguments: [String], prefix: [String] = [], environment: [String: String] = [:],
        directory: String = "/", scratch: String = "/tmp", seconds: Double = 120
    ) throws(StackError) -> ToolRun {
        let output = try ScratchFile(in: scratch)
        let errors = try ScratchFile(in: scratch)
        let pid = try ChildSpawn.start(
            arguments, prefix: prefix,
            environment: ChildSpawn.baseEnvironment.merging(environment) { $1 }, directory: directory,
            output: output.descriptor, errors: errors.descriptor)
        let name = (arguments[0] as NSString).lastPathComponent
        var status: Int32?
        _ = Patience.wait(seconds) {
            status = WaitStatus.ofEnded(pid)
            return status != nil
        }
        guard let status else {
            kill(pid, SIGKILL)
            _ = Patience.wait(5) { WaitStatus.ofEnded(pid) != nil }
            throw .didNotStop(program: name, seconds: seconds, tail: LogTail.of(text: errors.text))
        }
        return ToolRun(name: name, status: status, output: output.text, errors: errors.text)
    }

    /// - Throws: `failed` with the end of its output when the status is not 0.
    @discardableResult
    func checked() throws(StackError) -> ToolRun {
        guard self.status == 0 else {
            throw .failed(
                program: self.name, status: self.status, tail: LogTail.of(text: self.output + self.errors))
        }
        return self
    }
}

/// A file without a name: it goes with its last descriptor.
private final class ScratchFile {
    let descriptor: Int32

    init(in directory: String) throws(StackError) {
        var template = Array("\(directory)/tool-XXXXXX".utf8CString)
        self.descriptor = mkstemp(&template)
        guard self.descriptor >= 0 else {
            throw .file(path: directory, reason: String(cString: strerror(errno)))
        }
        unlink(template)
        _ = fcntl(self.descriptor, F_SETFD, FD_CLOEXEC)
    }

    deinit { close(self.descriptor) }

    var text: String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = pread(self.descriptor, &buffer, buffer.count, bytes.count)
            if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }
}

/// Where programs are.
public enum ProgramPath {
    /// The full path of `program` in PATH, or where Debian keeps servers; nil when it is not installed.
    public static func find(_ program: String) -> String? {
        let path = ChildSpawn.baseEnvironment["PATH"] ?? ""
        let directories =
            path.split(separator: ":").map(String.init) + ["/usr/sbin", "/usr/local/sbin", "/sbin"]
        return directories.lazy.map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    }

    static func require(_ program: String, hint: String) throws(StackError) -> String {
        guard let path = self.find(program) else { throw .missing(program: program, hint: hint) }
        return path
    }

    /// What `arguments` says of its version: the first line that it writes; nil when it cannot be asked.
    public static func version(_ arguments: [String]) -> String? {
        guard let done = try? ToolRun.run(arguments, seconds: 30), done.status == 0 else { return nil }
        let line = (done.output + done.errors).split(separator: "\n").first.map(String.init)
        // `nginx version: nginx/1.22.1` says it twice.
        return line.map { $0.replacingOccurrences(of: "nginx version: ", with: "") }
    }
}
