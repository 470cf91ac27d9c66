import Glibc
import Logging
import UnixSignals

/// SIGHUP, kept from the beginning on: one that comes while the proxy starts is followed once it listens.
struct HangUps: Sendable {
    fileprivate let signals: UnixSignalsSequence

    /// Made before the configuration is read, so that no SIGHUP is lost between the reading and the listening.
    init() async {
        // Its default action would end a process that is still starting.
        signal(SIGHUP, SIG_IGN)
        self.signals = await UnixSignalsSequence(trapping: .sighup)
    }
}

/// What the process does when it is signalled.
extension Deployment {
    /// SIGTERM and SIGINT: drain; a second one: end at once. Runs until it is cancelled.
    ///
    /// - Parameter drain: begins the graceful end.
    func followStops(drain: @escaping @Sendable () async -> Void) async {
        // A peer that is gone is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        var stops = 0
        for await _ in await UnixSignalsSequence(trapping: .sigterm, .sigint) {
            stops += 1
            if stops == 1 {
                ServiceManager.tell(.stopping)
                await drain()
            } else {
                await self.endNow()
            }
        }
    }

    /// SIGHUP: take over what files say now. Runs until it is cancelled.
    func follow(_ hangUps: HangUps) async {
        // Before that there are no loops that could take anything over.
        await self.waitUntilListening()
        for await _ in hangUps.signals { await self.reload() }
    }

    /// Exchanges end and are settled with what is known; the ledger gets two seconds. What it did not take by then is
    /// lost with this process, and the exit code says so.
    private func endNow() async {
        self.stopNow()
        for _ in 0..<100 {
            guard !Task.isCancelled else { return }
            try? await Task.sleep(for: .milliseconds(20))
        }
        guard !Task.isCancelled else { return }
        let left = self.backlog
        if left > 0 { complain("ended by a second signal; \(left) settlements were not posted") }
        _exit(left > 0 ? 1 : 0)
    }
}
