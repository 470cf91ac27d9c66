/// A secret that cannot be printed by accident.
struct Secret: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let value: String
    var description: String { "***" }
    var debugDescription: String { "***" }
    var customMirror: Mirror { Mirror(self, children: []) }
}

/// One thing wrong with the configuration.
struct SettingProblem: Sendable, Equatable, CustomStringConvertible {
    var name: String
    var message: String
    var description: String { "\(self.name): \(self.message)" }
}

/// Every bad setting at once: exit 78.
struct BadConfiguration: Error, CustomStringConvertible {
    var problems: [SettingProblem]
    var description: String {
        "bad configuration:\n" + self.problems.map { "  \($0)" }.joined(separator: "\n")
    }
}

/// Reads settings from a closure and collects what is wrong, instead of stopping at the first.
struct SettingsReader {
    private let get: (String) -> String?
    private let readFile: (String) throws -> String
    private(set) var problems: [SettingProblem] = []

    /// - Parameters:
    ///   - get: the environment, or a test's table. An empty value counts as absent.
    ///   - readFile: contents of a file, for the `NAME_FILE` form of secrets.
    init(get: @escaping (String) -> String?, readFile: @escaping (String) throws -> String) {
        self.get = get
        self.readFile = readFile
    }

    mutating func reject(_ name: String, _ message: String) {
        self.problems.append(SettingProblem(name: name, message: message))
    }

    func text(_ name: String) -> String? {
        guard let value = self.get(name), !value.isEmpty else { return nil }
        return value
    }

    /// `NAME`, or the contents of the file that `NAME_FILE` names, without its last line end.
    mutating func secret(_ name: String) -> Secret? {
        if let value = self.text(name) {
            if self.text(name + "_FILE") != nil {
                self.reject(name, "is set beside \(name)_FILE; set one of them")
            }
            return Secret(value: value)
        }
        guard let path = self.text(name + "_FILE") else { return nil }
        do {
            var contents = try self.readFile(path)
            while contents.last?.isNewline == true { contents.removeLast() }
            guard !contents.isEmpty else {
                self.reject(name + "_FILE", "the file is empty")
                return nil
            }
            return Secret(value: contents)
        } catch {
            self.reject(name + "_FILE", "cannot be read")
            return nil
        }
    }

    mutating func requiredSecret(_ name: String, _ meaning: String) -> Secret {
        if let secret = self.secret(name) { return secret }
        if !self.problems.contains(where: { $0.name.hasPrefix(name) }) {
            self.reject(name, "is required: \(meaning)")
        }
        return Secret(value: "")
    }

    /// Comma-separated secrets while rotating; each at least `bytesMin` long.
    mutating func requiredSecrets(_ name: String, _ meaning: String, bytesMin: Int) -> [Secret] {
        let all = self.requiredSecret(name, meaning)
        guard !all.value.isEmpty else { return [] }
        let parts = all.value.split(separator: ",").map { Secret(value: String($0.trimmingBlanks)) }
        // Commas alone are no secret at all.
        if parts.isEmpty || parts.contains(where: { $0.value.utf8.count < bytesMin }) {
            self.reject(name, "each secret needs at least \(bytesMin) bytes")
        }
        return parts
    }

    mutating func flag(_ name: String, default fallback: Bool) -> Bool {
        guard let text = self.text(name) else { return fallback }
        switch text.lowercased() {
        case "true", "1", "yes", "on": return true
        case "false", "0", "no", "off": return false
        default:
            self.reject(name, "must be true or false")
            return fallback
        }
    }

    mutating func choice<Value: RawRepresentable & CaseIterable>(_ name: String, default fallback: Value)
        -> Value
    where Value.RawValue == String {
        guard let text = self.text(name) else { return fallback }
        if let value = Value(rawValue: text) { return value }
        let known = Value.allCases.map(\.rawValue).joined(separator: ", ")
        self.reject(name, "must be one of: \(known)")
        return fallback
    }

    mutating func integer(_ name: String, in range: ClosedRange<Int64>) -> Int64? {
        guard let text = self.text(name) else { return nil }
        guard let value = Int64(text), range.contains(value) else {
            self.reject(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return value
    }

    mutating func listenAddress(_ name: String, default fallback: String) -> ListenAddress {
        let text = self.text(name) ?? fallback
        if let address = ListenAddress(parsing: text) { return address }
        self.reject(name, "must be HOST:PORT, such as \(fallback)")
        return ListenAddress(host: "127.0.0.1", port: 0)
    }
}

/// `HOST:PORT`, `[V6]:PORT`.
struct ListenAddress: Sendable, Hashable, CustomStringConvertible {
    var host: String
    var port: Int

    init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    init?(parsing text: String) {
        guard let colon = text.lastIndex(of: ":"),
            let port = Int(text[text.index(after: colon)...]), (0...65535).contains(port)
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("[") && host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { return nil }
        self.init(host: String(host), port: port)
    }

    var description: String {
        self.host.contains(":") ? "[\(self.host)]:\(self.port)" : "\(self.host):\(self.port)"
    }
}

extension StringProtocol {
    /// Without leading and trailing spaces and tabs.
    var trimmingBlanks: SubSequence {
        var text = self[...]
        while let first = text.first, first == " " || first == "\t" { text = text.dropFirst() }
        while let last = text.last, last == " " || last == "\t" { text = text.dropLast() }
        return text
    }
}
