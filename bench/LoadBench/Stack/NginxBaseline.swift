import Glibc

/// nginx as a plain reverse proxy: one worker, kept connections on both sides, no access log.
public enum NginxBaseline {
    public static var isPresent: Bool { ProgramPath.find("nginx") != nil }

    /// nginx.conf with all its files below `directory`.
    ///
    /// - Parameter asRoot: whether root starts it; its worker then stays root, to reach the files.
    public static func configuration(_ settings: BaselineSettings, directory: String, asRoot: Bool) -> String
    {
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map {
            "  \($0)_temp_path \(directory)/\($0);"
        }
        let server =
            ["    listen 127.0.0.1:\(settings.port)\(settings.tls.client ? " ssl" : "");"]
            + self.clientTLS(settings) + ["    location / {"] + self.location(settings) + ["    }"]
        // Two descriptors for each client, and some for itself.
        return """
            \(asRoot ? "user root;\n" : "")worker_processes 1;
            worker_rlimit_nofile \(settings.connectionsMax * 2 + 64);
            daemon off;
            pid \(directory)/nginx.pid;
            error_log \(directory)/nginx.err;
            events { worker_connections \(settings.connectionsMax * 2 + 64); }
            http {
              access_log off;
            \(temporary.joined(separator: "\n"))
              client_max_body_size 30m;
              client_body_buffer_size 1m;
              keepalive_requests 1000000000;
              keepalive_timeout 600s;
              upstream mock {
                server 127.0.0.1:\(settings.upstreamPort);
                keepalive 256;
                keepalive_requests 1000000000;
                keepalive_timeout 600s;
              }
              server {
            \(server.joined(separator: "\n"))
              }
            }

            """
    }

    private static func location(_ settings: BaselineSettings) -> [String] {
        var lines = [
            "proxy_pass http\(settings.tls.upstream ? "s" : "")://mock;",
            "proxy_http_version 1.1;",
            "proxy_set_header Connection \"\";",
            "proxy_set_header Authorization \"Bearer \(BaselineSettings.operatorKey)\";",
            "proxy_read_timeout 600s;",
        ]
        if settings.isStreaming { lines.append("proxy_buffering off;") }
        if let certificates = settings.upstreamCertificates {
            lines += [
                "proxy_ssl_trusted_certificate \(certificates.authorityFile);",
                "proxy_ssl_verify on;",
                "proxy_ssl_name localhost;",
                "proxy_ssl_server_name on;",
                // 1.22 knows TLS 1.3, and by default does not speak it to an upstream.
                "proxy_ssl_protocols TLSv1.2 TLSv1.3;",
            ]
        }
        return lines.map { "      " + $0 }
    }

    private static func clientTLS(_ settings: BaselineSettings) -> [String] {
        guard let certificates = settings.clientCertificates else { return [] }
        return [
            "    ssl_certificate \(certificates.certificateFile);",
            "    ssl_certificate_key \(certificates.keyFile);",
            "    ssl_protocols TLSv1.2 TLSv1.3;",
            "    ssl_session_cache shared:clients:10m;",
        ]
    }

    /// Starts it; returns when it listens. `directory` is its own.
    public static func start(
        _ settings: BaselineSettings, directory: String, prefix: [String] = []
    ) throws(StackError) -> ChildProgram {
        let program = try ProgramPath.require("nginx", hint: "apt-get install nginx-light")
        let file = directory + "/nginx.conf"
        try StackFiles.write(
            self.configuration(settings, directory: directory, asRoot: geteuid() == 0), to: file)
        let child = try ChildProgram(
            name: "nginx", [program, "-c", file, "-p", directory], prefix: prefix,
            logPath: directory + "/nginx.log")
        try child.waitUntilListening(settings.port, seconds: 10)
        return child
    }
}
