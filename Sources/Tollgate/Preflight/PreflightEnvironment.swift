import Glibc

/// What preflight reads of the machine and of the process' environment.
struct PreflightEnvironment {
    /// Names of secrets, and whether their value may be a list.
    static let secretNames: [(name: String, isList: Bool)] = [
        ("OPENAI_API_KEY", false), ("ADMIN_TOKEN", true), ("KEY_PEPPER", true), ("SESSION_SECRET", true),
        ("STRIPE_SECRET_KEY", false), ("STRIPE_WEBHOOK_SECRET", true),
    ]

    private(set) var reader: SettingsReader

    init(_ reader: SettingsReader) { self.reader = reader }

    /// Those that are set.
    mutating func secrets() -> [NamedSecret] {
        Self.secretNames.compactMap { name, isList in
            guard let secret = self.reader.secret(name) else { return nil }
            let values =
                isList
                ? secret.value.split(separator: ",").map { Secret(value: String($0.trimmingBlanks)) }
                : [secret]
            let path = self.reader.text(name + "_FILE")
            return NamedSecret(
                name: name, values: values, file: path.map { .init(path: $0, mode: Self.mode(of: $0)) })
        }
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
