import Logging
import Synchronization

/// What was logged, with its metadata sorted.
final class LogLines: Sendable {
    private struct Handler: LogHandler {
        let lines: LogLines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let pairs = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            self.lines.entries.withLock {
                $0.append(([event.message.description] + pairs).joined(separator: " "))
            }
        }
    }

    private let entries = Mutex<[String]>([])
    var all: [String] { self.entries.withLock { $0 } }
    var handler: any LogHandler { Handler(lines: self) }
}
