import Glibc
import Testing

/// `openssl s_server` with a certificate for `localhost` that has signed itself.
struct TLSServer {
    let certificate: String
    let port: Int
    private let folder: String
    private let process: pid_t

    init(_ options: [String] = []) throws {
        var template = Array("/tmp/tollgate-tls-XXXXXX".utf8CString)
        self.folder = String(cString: try #require(mkdtemp(&template)))
        self.certificate = self.folder + "/certificate.pem"
        let key = self.folder + "/key.pem"
        let maker = try Self.start([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out",
            self.certificate,
        ])
        var status: Int32 = 0
        #expect(waitpid(maker, &status, 0) == maker)
        try #require(status == 0)
        var pipe: [Int32] = [-1, -1]
        try #require(Glibc.pipe(&pipe) == 0)
        self.process = try Self.start(
            ["s_server", "-accept", "127.0.0.1:0", "-cert", self.certificate, "-key", key, "-www"] + options,
            output: pipe[1])
        close(pipe[1])
        defer { close(pipe[0]) }
        self.port = try Self.announcedPort(pipe[0])
    }

    func stop() {
        kill(self.process, SIGKILL)
        waitpid(self.process, nil, 0)
        for name in ["certificate.pem", "key.pem"] { unlink(self.folder + "/" + name) }
        rmdir(self.folder)
    }

    private static func start(_ arguments: [String], output: Int32? = nil) throws -> pid_t {
        var files = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&files)
        defer { posix_spawn_file_actions_destroy(&files) }
        posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0)
        if let output { posix_spawn_file_actions_adddup2(&files, output, 1) }
        var words = (["openssl"] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var process = pid_t()
        try #require(posix_spawnp(&process, "openssl", &files, nil, &words, environ) == 0)
        return process
    }

    /// It says where it listens: "ACCEPT 127.0.0.1:34567".
    private static func announcedPort(_ descriptor: Int32) throws -> Int {
        var text = ""
        while true {
            var bytes = [UInt8](repeating: 0, count: 512)
            let count = read(descriptor, &bytes, bytes.count)
            try #require(count > 0, "openssl s_server did not start")
            text += String(decoding: bytes.prefix(count), as: UTF8.self)
            guard let accept = text.firstRange(of: "ACCEPT "),
                let end = text[accept.upperBound...].firstIndex(of: "\n")
            else { continue }
            return try #require(text[accept.upperBound..<end].split(separator: ":").last.flatMap { Int($0) })
        }
    }
}
