import Dispatch
import Foundation
import LoadBench
import Synchronization

/// Ctrl-C, and whatever else ends the program: what it started is stopped, and its files are removed.
enum Interruption {
    private static let isOver = Mutex(false)
    private static let signals = [SIGINT, SIGTERM, SIGHUP]

    /// What fails because it was stopped is no result: does not return then.
    static func endIfInterrupted() {
        while self.isOver.withLock({ $0 }) { sleep(1) }
    }

    /// Until the program ends.
    static func watch() {
        for number in self.signals {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                // The handler keeps its source.
                source.cancel()
                FileHandle.standardError.write(Data("\nstopping what was started\n".utf8))
                self.isOver.withLock { $0 = true }
                LivingStacks.stopAll()
                exit(128 + number)
            }
            source.resume()
        }
    }
}
