import Foundation

/// A program of the machine that judges what we print, such as hledger.
struct AccountingProgram {
    let path: String

    struct Result {
        var status: Int32
        /// Standard output, then standard error.
        var text: String
    }

    /// nil when it is not installed: the test fails then, as `scripts/bootstrap.sh test` installs it.
    init?(_ name: String) {
        let places = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
        guard
            let path = places.map({ "\($0)/\(name)" }).first(where: {
                FileManager.default.isExecutableFile(atPath: $0)
            })
        else { return nil }
        self.path = path
    }

    func run(_ arguments: [String], in folder: URL) throws -> Result {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: self.path)
        process.arguments = arguments
        process.currentDirectoryURL = folder
        process.environment = ["LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"]
        // A file, not a pipe: nobody has to drain it.
        let output = folder.appendingPathComponent("output-\(UUID().uuidString)")
        try Data().write(to: output)
        let handle = try FileHandle(forWritingTo: output)
        process.standardOutput = handle
        process.standardError = handle
        process.standardInput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try handle.close()
        return Result(
            status: process.terminationStatus,
            text: String(decoding: try Data(contentsOf: output), as: UTF8.self))
    }
}

/// A folder for one test.
final class ScratchFolder {
    let url: URL

    init() throws {
        self.url = FileManager.default.temporaryDirectory.appendingPathComponent(
            "tollgate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: self.url) }

    func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: self.url.appendingPathComponent(name))
    }
}
