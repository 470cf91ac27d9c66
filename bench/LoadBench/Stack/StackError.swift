/// Why the deployment under test could not be started, watched or asked.
public enum StackError: Error, Equatable, CustomStringConvertible, Sendable {
    /// A program is not installed; `hint` says what brings it.
    case missing(program: String, hint: String)
    case cannotStart(program: String, reason: String)
    /// It ended before it was told to. `status` is as a shell tells it: 128 + n for signal n.
    case endedEarly(program: String, status: Int32, tail: String)
    case notReady(program: String, seconds: Double, tail: String)
    /// It was killed then.
    case didNotStop(program: String, seconds: Double, tail: String)
    /// A tool that runs to its end failed.
    case failed(program: String, status: Int32, tail: String)
    case notPinned(pid: Int32, reason: String)
    /// A watched process is not there any more.
    case gone(process: String, pid: Int32)
    case file(path: String, reason: String)
    case noFreePort
    case call(what: String, reason: String)
    /// An answer that is not the expected one.
    case unexpected(what: String, status: Int, body: String)
    /// Holds that were still open when the time was over.
    case notSettled(accounts: Int, seconds: Double)

    public var description: String {
        switch self {
        case .missing(let program, let hint): "\(program) is not installed: \(hint)"
        case .cannotStart(let program, let reason): "\(program) cannot be started: \(reason)"
        case .endedEarly(let program, let status, let tail):
            "\(program) ended by itself with \(status)" + Self.appendix(tail)
        case .notReady(let program, let seconds, let tail):
            "\(program) was not ready within \(seconds) s" + Self.appendix(tail)
        case .didNotStop(let program, let seconds, let tail):
            "\(program) did not stop within \(seconds) s and was killed" + Self.appendix(tail)
        case .failed(let program, let status, let tail):
            "\(program) failed with \(status)" + Self.appendix(tail)
        case .notPinned(let pid, let reason): "process \(pid) cannot be pinned: \(reason)"
        case .gone(let process, let pid): "\(process) (process \(pid)) is not there any more"
        case .file(let path, let reason): "\(path): \(reason)"
        case .noFreePort: "no free port on 127.0.0.1"
        case .call(let what, let reason): "\(what): \(reason)"
        case .unexpected(let what, let status, let body): "\(what) answered \(status)" + Self.appendix(body)
        case .notSettled(let accounts, let seconds):
            "\(accounts) accounts still had open holds after \(seconds) s"
        }
    }

    private static func appendix(_ text: String) -> String { text.isEmpty ? "" : ":\n" + text }
}
