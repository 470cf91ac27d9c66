import NIOCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// The oracle: one row per served request, in the order in which they ended.
final class ServedLog: Sendable {
    /// A row's place, to correct it when the reply turns out not to have left the process.
    struct Place { fileprivate let epoch: Int, index: Int }

    private struct State {
        var rows: [ByteBuffer] = []
        var sequence = 0
        var epoch = 0
        var lost = 0
    }

    let mode: MockOpenAIServer.Configuration.Log
    let limit: Int
    private let descriptor: Int32
    private let state = Mutex(State())

    /// Throws `LogFileUnavailable` when the file of `.file` cannot be opened for appending.
    init(_ mode: MockOpenAIServer.Configuration.Log, limit: Int) throws {
        self.mode = mode
        self.limit = limit
        guard case .file(let path) = mode else {
            descriptor = -1
            return
        }
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw LogFileUnavailable(path: path, errno: errno) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    struct LogFileUnavailable: Error {
        let path: String
        let errno: Int32
    }

    /// False when rows, and with them the hashes of bodies and replies, need not be made.
    var isOn: Bool { if case .none = mode { false } else { true } }

    /// Gives the row its number and keeps it. Nil when the log is full; the row is then counted as lost.
    func append(_ row: inout ServedRow) -> Place? {
        state.withLock { state in
            state.sequence += 1
            row.sequence = state.sequence
            if case .file = mode {
                write(row.encoded())
                return nil
            }
            guard state.rows.count < limit else {
                state.lost += 1
                return nil
            }
            state.rows.append(row.encoded())
            return Place(epoch: state.epoch, index: state.rows.count - 1)
        }
    }

    /// Replaces a row that said more than what happened. No effect after a reset.
    func correct(_ row: ServedRow, at place: Place) {
        state.withLock { state in
            guard state.epoch == place.epoch else { return }
            state.rows[place.index] = row.encoded()
        }
    }

    func reset() {
        state.withLock { state in
            state = State(epoch: state.epoch + 1)
        }
    }

    /// All rows after number `since`, oldest first; an explicit error row stands for rows that did not fit.
    func rows(since: Int = 0) -> [ByteBuffer] {
        let (kept, lost) = state.withLock { ($0.rows, $0.lost) }
        var rows = since > 0 ? Array(kept.dropFirst(since)) : kept
        if lost > 0 {
            rows.append(
                ByteBuffer(string: "{\"error\":\"log_overflow\",\"lost\":\(lost),\"limit\":\(limit)}\n"))
        }
        return rows
    }

    /// A full disk loses rows; the reader sees the gap in `seq`.
    private func write(_ line: ByteBuffer) {
        line.withUnsafeReadableBytes { bytes in
            var at = 0
            while at < bytes.count {
                guard let start = bytes.baseAddress else { return }
                let written = systemWrite(descriptor, start + at, bytes.count - at)
                if written < 0, errno == EINTR { continue }
                guard written > 0 else { return }
                at += written
            }
        }
    }
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
