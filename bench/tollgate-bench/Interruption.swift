import Dispatch
import Foundation
import LoadBench
import Synchronization

/// Ctrl-C, and whatever else ends the program: what it started is stopped, its files are removed, and what was measured by
/// then is written.
enum Interruption {
    private static let isOver = Mutex(false)
    private static let signals = [SIGINT, SIGTERM, SIGHUP]
    private static let measured = Mutex<SuiteResult?>(nil)

    /// What fails because it was stopped is no result: does not return then.
    static func endIfInterrupted() {
        while self.isOver.withLock({ $0 }) { sleep(1) }
    }

    /// What there is so far; the last scenario may be under way. What comes of a load whose stack is being stopped is no
    /// result.
    static func keep(_ suite: SuiteResult) {
        guard !self.isOver.withLock({ $0 }) else { return }
        self.measured.withLock { $0 = suite }
    }

    /// Until the program ends. A second signal ends it at once; what it started ends with it.
    static func watch(write: @escaping @Sendable (SuiteResult) throws -> Void = { _ in }) {
        for number in self.signals {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                // The handler keeps its source.
                source.cancel()
                for other in self.signals { signal(other, SIG_DFL) }
                self.say("\nstopping what was started")
                self.isOver.withLock { $0 = true }
                LivingStacks.stopAll()
                self.writeMeasured(write)
                exit(128 + number)
            }
            source.resume()
        }
    }

    private static func writeMeasured(_ write: (SuiteResult) throws -> Void) {
        guard let suite = self.measured.withLock({ $0 }) else { return }
        do { try write(suite) } catch { self.say("\(error)") }
    }

    private static func say(_ text: String) { FileHandle.standardError.write(Data("\(text)\n".utf8)) }
}
