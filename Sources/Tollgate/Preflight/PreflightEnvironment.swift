import Glibc

/// What preflight reads of the machine and of the process' environment.
struct PreflightEnvironment {
    /// Names of secrets, and whether their value may be a list.
    static let secretNames: [(name: String, isList: Bool)] = [
        ("OPENAI_API_KEY", false), ("ADMIN_TOKEN", true), ("KEY_PEPPER", true), ("SESSION_SECRET", true),
        ("STRIPE_SECRET_KEY", false), ("STRIPE_WEBHOOK_SECRET", true), ("PORTAL_JWT_SECRET", true),
    ]
    /// URLs of which only the password is a secret.
    static let urlNames = ["DATABASE_URL", "REDIS_URL"]
    static let headersName = "OTEL_EXPORTER_OTLP_HEADERS"
    /// The record of ages takes names of 64 bytes.
    private static let headerNameMax = 36

    private(set) var reader: SettingsReader

    init(_ reader: SettingsReader) { self.reader = reader }

    /// Those that are set.
    mutating func secrets() -> [NamedSecret] { self.whole() + self.passwords() + self.headers() }

    private mutating func whole() -> [NamedSecret] {
        Self.secretNames.compactMap { name, isList in
            guard let secret = self.reader.secret(name) else { return nil }
            let values =
                isList
                ? secret.value.split(separator: ",").map { Secret(value: String($0.trimmingBlanks)) }
                : [secret]
            return NamedSecret(name: name, values: values, file: self.file(name))
        }
    }

    private mutating func passwords() -> [NamedSecret] {
        Self.urlNames.compactMap { name in
            guard let url = self.reader.secret(name), let password = SettingSecrets.password(in: url) else {
                return nil
            }
            return NamedSecret(name: name, part: "password", values: [password], file: self.file(name))
        }
    }

    /// One of each header, so that two of them are no rotation.
    private mutating func headers() -> [NamedSecret] {
        guard let text = self.reader.secret(Self.headersName) else { return [] }
        return SettingSecrets.headers(in: text).map { header in
            NamedSecret(
                name: "\(Self.headersName):\(header.name.prefix(Self.headerNameMax))", values: [header.value],
                file: self.file(Self.headersName))
        }
    }

    private func file(_ name: String) -> NamedSecret.File? {
        self.reader.text(name + "_FILE").map { .init(path: $0, mode: Self.mode(of: $0)) }
    }

    static func mode(of path: String) -> UInt32? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o777 : nil
    }

    /// Bytes that this process may still write there; nil: it may not, or there is no such directory.
    static func freeBytes(_ directory: String) -> UInt64? {
        var status = statvfs()
        guard access(directory, W_OK | X_OK) == 0, statvfs(directory, &status) == 0 else { return nil }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }
}
