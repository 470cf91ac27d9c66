import Foundation

/// A certificate authority of one stack, and a certificate for `localhost` and 127.0.0.1 that it issued; made by the
/// `openssl` program, for 30 days.
public struct StackCertificates: Sendable, Equatable {
    public let authorityFile: String
    public let certificateFile: String
    public let keyFile: String
    /// Certificate and key in one file, as haproxy wants them.
    public let combinedFile: String

    init(directory: String) {
        self.authorityFile = directory + "/ca.crt"
        self.certificateFile = directory + "/leaf.crt"
        self.keyFile = directory + "/leaf.key"
        self.combinedFile = directory + "/leaf.pem"
    }

    /// Writes them into `directory`.
    static func make(in directory: String) throws(StackError) -> StackCertificates {
        let files = StackCertificates(directory: directory)
        let openssl = try ProgramPath.require("openssl", hint: "apt-get install openssl")
        let fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        let (authorityKey, request) = (directory + "/ca.key", directory + "/leaf.csr")
        let extensions = directory + "/leaf.ext"
        try StackFiles.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n", to: extensions)
        let commands = [
            ["req", "-x509"] + fresh + [
                "-days", "30", "-keyout", authorityKey, "-out", files.authorityFile, "-subj",
                "/CN=tollgate-bench authority",
            ],
            ["req"] + fresh + ["-keyout", files.keyFile, "-out", request, "-subj", "/CN=localhost"],
            [
                "x509", "-req", "-in", request, "-CA", files.authorityFile, "-CAkey", authorityKey,
                "-CAcreateserial", "-out", files.certificateFile, "-days", "30", "-extfile", extensions,
            ],
        ]
        for command in commands {
            try ToolRun.run([openssl] + command, directory: directory, scratch: directory).checked()
        }
        let pair = try StackFiles.read(files.certificateFile) + StackFiles.read(files.keyFile)
        try StackFiles.write(pair, to: files.combinedFile)
        return files
    }
}

/// Which legs are encrypted. The same for all lanes of a stack, or they could not be compared.
public struct TLSLegs: Sendable, Equatable {
    /// Between load and proxy.
    public var client: Bool
    /// Between proxy and mock.
    public var upstream: Bool

    public init(client: Bool = false, upstream: Bool = false) {
        self.client = client
        self.upstream = upstream
    }

    public var isUsed: Bool { self.client || self.upstream }
}

/// Files of a stack.
enum StackFiles {
    /// Readable by the owner only: there are keys and passwords among them.
    static func write(_ text: String, to path: String) throws(StackError) {
        let attributes: [FileAttributeKey: Any] = [.posixPermissions: 0o600]
        guard FileManager.default.createFile(atPath: path, contents: Data(text.utf8), attributes: attributes)
        else {
            throw .file(path: path, reason: "cannot be written")
        }
    }

    static func read(_ path: String) throws(StackError) -> String {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw .file(path: path, reason: "cannot be read")
        }
        return String(decoding: data, as: UTF8.self)
    }

    /// A new directory below `parent`. Others may enter it: Postgres and nginx's workers run as other users.
    static func makeDirectory(below parent: String, prefix: String) throws(StackError) -> String {
        let suffix = String(UInt64.random(in: 0 ... .max), radix: 36)
        return try self.makeDirectory("\(parent)/\(prefix)\(suffix)")
    }

    @discardableResult
    static func makeDirectory(_ path: String) throws(StackError) -> String {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        } catch {
            throw .file(path: path, reason: "cannot be made: \(error.localizedDescription)")
        }
        return path
    }
}
