import Glibc
import Logging
import Metering
import Synchronization

/// One event, one line, on standard error.
struct LineLogHandler: LogHandler {
    /// `LOG_FORMAT`
    enum Format: String, CaseIterable, Sendable { case json, text }

    let label: String
    let format: Format
    let write: @Sendable (String) -> Void
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    var logLevel: Logger.Level

    init(
        label: String, format: Format, level: Logger.Level,
        provider: Logger.MetadataProvider? = nil,
        write: @escaping @Sendable (String) -> Void = { StandardError.write($0) }
    ) {
        self.label = label
        self.format = format
        self.logLevel = level
        self.metadataProvider = provider
        self.write = write
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var metadata = self.metadata
        if let provided = self.metadataProvider?.get() { metadata.merge(provided) { $1 } }
        if let given = event.metadata { metadata.merge(given) { $1 } }
        if let error = event.error { metadata["error"] = "\(error)" }
        let line = LogLine(
            milliseconds: Clock.wallMilliseconds(), level: event.level.rawValue, logger: self.label,
            message: "\(event.message)", metadata: metadata.mapValues { "\($0)" })
        self.write(line.text(self.format) + "\n")
    }
}

/// What a line says; text only, so that everything that could end it is escaped in one place.
struct LogLine {
    var milliseconds: Int64
    var level: String
    var logger: String
    var message: String
    var metadata: [String: String]

    /// Longer values are cut: a line is written at once.
    static let valueBytesMax = 8192
    static let requestKey = "request_id"
    /// What Hummingbird calls it.
    private static let routerKey = "hb.request.id"
    private static let traceKey = "trace_id"

    func text(_ format: LineLogHandler.Format) -> String {
        switch format {
        case .json: self.json
        case .text: self.plain
        }
    }

    private var time: String {
        Timestamp.text(self.milliseconds)
    }

    private var request: String? { self.metadata[Self.requestKey] ?? self.metadata[Self.routerKey] }

    private var rest: [(key: String, value: String)] {
        self.metadata.filter { ![Self.requestKey, Self.routerKey, Self.traceKey].contains($0.key) }
            .sorted { $0.key < $1.key }
    }

    private var json: String {
        var members = [
            ("time", self.time), ("level", self.level), ("logger", self.logger), ("message", self.message),
        ]
        if let id = self.request { members.append(("request_id", id)) }
        if let id = self.metadata[Self.traceKey] { members.append(("trace_id", id)) }
        var text = members.map { Self.member($0.0, $0.1) }.joined(separator: ",")
        if !self.rest.isEmpty {
            let metadata = self.rest.map { Self.member($0.key, $0.value) }.joined(separator: ",")
            text += ",\"metadata\":{\(metadata)}"
        }
        return "{\(text)}"
    }

    private var plain: String {
        var text = "\(self.time) \(self.level) \(self.logger): \(Self.escaped(self.message))"
        if let id = self.request { text += " request_id=\(Self.escaped(id))" }
        if let id = self.metadata[Self.traceKey] { text += " trace_id=\(Self.escaped(id))" }
        for (key, value) in self.rest { text += " \(Self.escaped(key))=\(Self.escaped(value))" }
        return text
    }

    private static func member(_ name: String, _ value: String) -> String {
        "\"\(self.escaped(name))\":\"\(self.escaped(value))\""
    }

    /// As inside of a JSON string; also controls above ASCII, and the separators that end a line for some readers.
    private static func escaped(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            guard out.utf8.count < self.valueBytesMax else { return out + "…" }
            switch scalar.value {
            case 0x22: out += "\\\""
            case 0x5c: out += "\\\\"
            case 0..<0x20, 0x7f..<0xa0, 0x2028, 0x2029:
                let digits = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}

enum StandardError {
    private static let lock = Mutex(())

    /// All of it before the next line of another thread. What cannot be written is lost: a log must not stop the process.
    static func write(_ line: String) {
        self.lock.withLock { _ in
            var line = line
            line.withUTF8 { bytes in
                var rest = UnsafeRawBufferPointer(bytes)
                while !rest.isEmpty {
                    let count = Glibc.write(STDERR_FILENO, rest.baseAddress, rest.count)
                    if count < 0, errno == EINTR { continue }
                    guard count > 0 else { return }
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                }
            }
        }
    }
}
