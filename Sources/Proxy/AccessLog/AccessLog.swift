import Glibc
import Metering
import NIOCore
import NIOPosix
import Synchronization

/// Where the lines of the access log go. Event loops hand over whole buffers; one thread writes them. What cannot be
/// written fast enough is dropped and counted: no exchange ever waits for its log line.
public final class AccessLog: MetricSource, Sendable {
    public enum Destination: Sendable, Equatable {
        case off
        case standardOutput
        case file(String)

        /// `ACCESS_LOG`: `off`, `-`, or a path.
        public init(_ text: String) {
            switch text {
            case "off": self = .off
            case "-": self = .standardOutput
            default: self = .file(text)
            }
        }
    }

    /// The file cannot be opened.
    public struct CannotOpen: Error, Equatable, CustomStringConvertible {
        public let path: String
        public let errnoCode: Int32
        public var description: String { "\(self.path): \(String(cString: strerror(self.errnoCode)))" }
    }

    private let destination: Destination
    private let file: Mutex<LogFile>
    private let writer = NIOThreadPool(numberOfThreads: 1)
    private let pendingBytes = Atomic(0)
    private let givesUp = Atomic(false)
    private let lines = Atomic(0)
    private let dropped = Atomic(0)

    private static let pendingBytesMax = 8 << 20

    /// Opens the destination; a file is appended to, and made with mode 0640.
    public convenience init(_ destination: Destination) throws(CannotOpen) {
        self.init(destination, file: LogFile(descriptor: try Self.open(destination)))
    }

    /// - Parameter file: the destination, open; `shutdown()` closes it.
    init(_ destination: Destination, file: LogFile) {
        self.destination = destination
        self.file = Mutex(file)
        if destination != .off { self.writer.start() }
    }

    private static func open(_ destination: Destination) throws(CannotOpen) -> Int32 {
        guard case .file(let path) = destination else { return STDOUT_FILENO }
        let file = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
        guard file >= 0 else { throw CannotOpen(path: path, errnoCode: errno) }
        return file
    }

    var isOff: Bool { self.destination == .off }

    /// Opens the file by its name again, after somebody moved it (logrotate). When it cannot be opened the old one
    /// stays.
    public func reopen() throws(CannotOpen) {
        guard case .file = self.destination else { return }
        let fresh = try Self.open(self.destination)
        // On the writer's thread, so that no line goes to a file that is closed.
        self.writer.submit { _ in
            let old = self.file.withLock { file in
                defer { file = LogFile(descriptor: fresh, isTorn: file.isTorn && file.isSame(as: fresh)) }
                return file.descriptor
            }
            _ = Glibc.close(old)
        }
    }

    /// Takes over the lines of one event loop.
    func hand(over bytes: ByteBuffer, lines: Int) {
        let count = bytes.readableBytes
        guard self.pendingBytes.wrappingAdd(count, ordering: .relaxed).newValue <= Self.pendingBytesMax else {
            self.pendingBytes.wrappingSubtract(count, ordering: .relaxed)
            self.dropped.wrappingAdd(lines, ordering: .relaxed)
            return
        }
        self.writer.submit { state in
            let written = state == .active ? self.write(bytes) : 0
            self.pendingBytes.wrappingSubtract(count, ordering: .relaxed)
            // Nearly always all of it, and then nothing is counted.
            let isAll = written == count
            let whole =
                isAll ? lines : bytes.readableBytesView.prefix(written).count { $0 == LogFile.lineEnd }
            self.lines.wrappingAdd(whole, ordering: .relaxed)
            self.dropped.wrappingAdd(lines - whole, ordering: .relaxed)
        }
    }

    /// Returns the bytes that were written; fewer than all when the file takes no more, or is given up.
    private func write(_ bytes: ByteBuffer) -> Int {
        self.file.withLock { file in
            bytes.withUnsafeReadableBytes { raw in
                file.write(raw) { self.givesUp.load(ordering: .relaxed) }
            }
        }
    }

    /// Writes what is pending, for at most two seconds if the reader stalls.
    public func shutdown() async {
        guard !self.isOff else { return }
        let end = NIODeadline.now() + .seconds(2)
        while self.pendingBytes.load(ordering: .relaxed) > 0, NIODeadline.now() < end {
            try? await Task.sleep(for: .milliseconds(10))
        }
        self.givesUp.store(true, ordering: .relaxed)
        try? await self.writer.shutdownGracefully()
        if case .file = self.destination { _ = self.file.withLock { Glibc.close($0.descriptor) } }
    }

    public func samples() -> [MetricSample] {
        [
            MetricSample(
                "access_log_lines_total", help: "Lines written to the access log.", kind: .counter,
                count: self.lines.load(ordering: .relaxed)),
            MetricSample(
                "access_log_dropped_total",
                help: "Lines dropped because the destination did not take them, or not fast enough.",
                kind: .counter, count: self.dropped.load(ordering: .relaxed)),
        ]
    }
}

/// The lines of one event loop on their way to the log. Used only on that loop.
struct AccessLogBuffer {
    private let log: AccessLog
    private var buffer: ByteBuffer
    private var lines = 0

    private static let bytesMax = 64 << 10

    init(_ log: AccessLog) {
        self.log = log
        self.buffer = ByteBuffer()
    }

    var isOff: Bool { self.log.isOff }

    mutating func append(_ record: AccessRecord) {
        AccessLine.write(record, into: &self.buffer)
        self.lines += 1
        if self.buffer.readableBytes >= Self.bytesMax { self.flush() }
    }

    /// Called a few times per second.
    mutating func flush() {
        guard self.lines > 0 else { return }
        self.log.hand(over: self.buffer, lines: self.lines)
        self.buffer = ByteBuffer()
        self.lines = 0
    }
}
