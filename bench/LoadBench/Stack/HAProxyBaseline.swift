/// haproxy as a plain reverse proxy: one thread, kept connections on both sides, no log.
public enum HAProxyBaseline {
    public static var isPresent: Bool { ProgramPath.find("haproxy") != nil }

    /// haproxy.cfg
    public static func configuration(_ settings: BaselineSettings) -> String {
        var bind = "bind 127.0.0.1:\(settings.port)"
        if let certificates = settings.clientCertificates {
            bind += " ssl crt \(certificates.combinedFile) alpn http/1.1 ssl-min-ver TLSv1.2"
        }
        var server = "server mock 127.0.0.1:\(settings.upstreamPort) pool-purge-delay 600s"
        if let certificates = settings.upstreamCertificates {
            server +=
                " ssl verify required ca-file \(certificates.authorityFile) sni str(localhost) alpn http/1.1"
        }
        return """
            global
              nbthread 1
              maxconn \(settings.connectionsMax)
            defaults
              mode http
              timeout connect 5s
              timeout client 600s
              timeout server 600s
              timeout http-keep-alive 600s
              http-reuse always\(settings.isStreaming ? "\n  option http-no-delay" : "")
            frontend clients
              \(bind)
              default_backend upstream
            backend upstream
              http-request set-header Authorization "Bearer \(BaselineSettings.operatorKey)"
              \(server)

            """
    }

    /// Starts it; returns when it listens. `directory` is its own.
    public static func start(
        _ settings: BaselineSettings, directory: String, prefix: [String] = []
    ) throws(StackError) -> ChildProgram {
        let program = try ProgramPath.require("haproxy", hint: "apt-get install haproxy")
        let file = directory + "/haproxy.cfg"
        try StackFiles.write(self.configuration(settings), to: file)
        let child = try ChildProgram(
            name: "haproxy", [program, "-f", file, "-db"], prefix: prefix, logPath: directory + "/haproxy.log"
        )
        try child.waitUntilListening(settings.port, seconds: 10)
        return child
    }
}
