import ControlPlane
import Logging

/// `LOG_FORMAT` and `LOG_LEVEL`.
struct LogSettings: Sendable, Equatable {
    var format: LineLogHandler.Format
    var level: Logger.Level

    /// - Parameters: what counts where nothing is set.
    init(
        _ reader: inout SettingsReader, format: LineLogHandler.Format = .json, level: Logger.Level = .info
    ) {
        self.format = reader.choice("LOG_FORMAT", default: format)
        self.level = reader.choice("LOG_LEVEL", default: level)
    }

    /// Every logger of this process writes like this from now on; once per process.
    func bootstrap() {
        let (format, level) = (self.format, self.level)
        LoggingSystem.bootstrap(
            { LineLogHandler(label: $0, format: format, level: level, provider: $1) },
            metadataProvider: Self.ofRequest)
    }

    /// What a line of a request's work says of it, wherever below the routes it is written.
    static let ofRequest = Logger.MetadataProvider {
        RequestScope.id.map { [LogLine.requestKey: .string($0)] } ?? [:]
    }

    func logger() -> Logger { Logger(label: "tollgate") }
}
