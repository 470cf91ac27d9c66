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
    private let file: Mutex<Int32>
    private let writer = NIOThreadPool(numberOfThreads: 1)
    private let pendingBytes = Atomic(0)
    private let givesUp = Atomic(false)
    private let lines = Atomic(0)
    private let dropped = Atomic(0)

    private static let pendingBytesMax = 8 << 20

    /// Opens the destination; a file is appended to, and made with mode 0640.
    public init(_ destination: Destination) throws(CannotOpen) {
        self.destination = destination
        self.file = Mutex(try Self.open(destination))
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
                defer { file = fresh }
                return file
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
            let isWritten = state == .active && self.write(bytes)
            self.pendingBytes.wrappingSubtract(count, ordering: .relaxed)
            if isWritten {
                self.lines.wrappingAdd(lines, ordering: .relaxed)
            } else {
                self.dropped.wrappingAdd(lines, ordering: .relaxed)
            }
        }
    }

    /// Writes in pieces that fit a pipe, each only when it will not block; so a reader that stalls can be given up.
    private func write(_ bytes: ByteBuffer) -> Bool {
        let file = self.file.withLock { $0 }
        return bytes.withUnsafeReadableBytes { raw in
            var at = 0
            while at < raw.count {
                var ready = pollfd(fd: file, events: Int16(POLLOUT), revents: 0)
                guard poll(&ready, 1, 100) > 0 else {
                    if self.givesUp.load(ordering: .relaxed) { return false }
                    continue
                }
                let written = Glibc.write(file, raw.baseAddress! + at, min(4096, raw.count - at))
                if written > 0 {
                    at += written
                } else if errno != EINTR && errno != EAGAIN {
                    return false
                }
            }
            return true
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
        if case .file = self.destination { _ = self.file.withLock { Glibc.close($0) } }
    }

    public func samples() -> [MetricSample] {
        [
            MetricSample(
                "access_log_lines_total", help: "Lines written to the access log.", kind: .counter,
                count: self.lines.load(ordering: .relaxed)),
            MetricSample(
                "access_log_dropped_total",
                help: "Lines dropped because they could not be written fast enough.",
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
