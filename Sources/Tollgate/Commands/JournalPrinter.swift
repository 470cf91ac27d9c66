import Billing
import Foundation
import Synchronization

/// Prints entries as they come, on whichever thread they come.
final class JournalPrinter: Sendable {
    private struct State {
        var journal = HledgerJournal()
        var pending = ""
    }

    private static let pendingBytesMax = 64 * 1024

    private let format: BooksCommand.Format
    private let file: OutputFile
    private let state = Mutex(State())

    init(_ format: BooksCommand.Format, _ file: OutputFile) {
        (self.format, self.file) = (format, file)
    }

    func begin() throws {
        try self.print { state in
            switch self.format {
            case .csv: JournalCSV.heading
            case .hledger: state.journal.head
            }
        }
    }

    func add(_ entry: JournalEntry) throws {
        try self.print { state in
            switch self.format {
            case .csv: JournalCSV.rows(entry)
            case .hledger: try state.journal.text(entry)
            }
        }
    }

    func end() throws {
        try self.print { state in
            switch self.format {
            case .csv: ""
            case .hledger: state.journal.foot
            }
        }
        let rest = self.state.withLock { $0.pending }
        try self.file.write(rest)
        try self.file.finish()
    }

    private func print(_ text: (inout State) throws -> String) throws {
        let full: String? = try self.state.withLock { state in
            state.pending += try text(&state)
            guard state.pending.utf8.count >= Self.pendingBytesMax else { return nil }
            defer { state.pending = "" }
            return state.pending
        }
        if let full { try self.file.write(full) }
    }
}

/// Standard output, or a file that gets its name when it is whole.
struct OutputFile: Sendable {
    private let handle: FileHandle
    private let place: (unfinished: String, final: String)?

    /// - Parameter path: nil for standard output.
    init(_ path: String?) throws {
        guard let path else {
            (self.handle, self.place) = (.standardOutput, nil)
            return
        }
        let unfinished = "\(path).\(ProcessInfo.processInfo.processIdentifier).unfinished"
        guard FileManager.default.createFile(atPath: unfinished, contents: nil),
            let handle = FileHandle(forWritingAtPath: unfinished)
        else { throw CommandFailure("\(path) cannot be written") }
        (self.handle, self.place) = (handle, (unfinished, path))
    }

    func write(_ text: String) throws { try self.handle.write(contentsOf: Data(text.utf8)) }

    func finish() throws {
        guard let place else { return }
        try self.handle.synchronize()
        try self.handle.close()
        guard rename(place.unfinished, place.final) == 0 else {
            throw CommandFailure("\(place.final) cannot be written")
        }
    }

    func discard() {
        guard let place else { return }
        try? self.handle.close()
        try? FileManager.default.removeItem(atPath: place.unfinished)
    }
}
