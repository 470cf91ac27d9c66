import Dispatch
import Foundation
import LoadBench

/// Ctrl-C, and whatever else ends the program: what it started is stopped, and its files are removed.
enum Interruption {
    private static let signals = [SIGINT, SIGTERM, SIGHUP]

    /// Until the program ends.
    static func watch() {
        for number in self.signals {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                // The handler keeps its source.
                source.cancel()
                FileHandle.standardError.write(Data("\nstopping what was started\n".utf8))
                LivingStacks.stopAll()
                exit(128 + number)
            }
            source.resume()
        }
    }
}
