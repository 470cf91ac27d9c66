import Glibc
import NIOCore
import Testing

@testable import Proxy

/// Out of descriptors the listener stays readable: a server that only tried again would spin, and one that
/// gave up would never serve again.
@Suite(.timeLimit(.minutes(10))) struct ServerAcceptTests {
    /// In a process of its own, because the limit is the process'.
    @Test func withoutDescriptorsItWaitsAndThenGoesOn() async {
        await #expect(processExitsWith: .success) {
            do {
                try await ServerRig.with { rig in try await exhaust(rig) }
            } catch {
                Issue.record(error)
            }
        }
    }
}

/// Runs out of descriptors with one client waiting to be accepted, and gets them back.
private func exhaust(_ rig: ServerRig) async throws {
    #expect(try await rig.ask(ServerFixtures.health).status == 200)
    try await rig.eventually("its descriptors are free") { rig.connectionsOpen == 0 }
    // The first sleep of a process makes a timer, and with it a descriptor.
    try await Task.sleep(for: .milliseconds(1))
    let fillers = try Descriptors.fillAllButOne()
    // Takes the last one; nothing is left to accept it with.
    let waiting = try await rig.send(ServerFixtures.health)
    let (began, cpuBefore) = (ContinuousClock.now, Descriptors.cpuMicroseconds())
    let came = await waiting.watched.until(within: .milliseconds(500)) { $0.bytesReceived > 0 }
    #expect(!came, "it was accepted: descriptors were not what was short")
    let cpu = Descriptors.cpuMicroseconds() - cpuBefore
    let passed = Int((ContinuousClock.now - began) / .microseconds(1))
    #expect(cpu < passed / 2, "the listener spins: so many microseconds of CPU")
    for filler in fillers { close(filler) }
    #expect(try await waiting.reply().status == 200)
    #expect(try await rig.ask(ServerFixtures.health).status == 200)
}

/// The descriptors of this process.
private enum Descriptors {
    struct NoneLeft: Error {}

    /// Lowers the limit to a little above what is open, and takes all descriptors below it but one.
    static func fillAllButOne() throws -> [Int32] {
        let highest = (0..<4096).last { fcntl($0, F_GETFD) >= 0 } ?? 0
        let most = rlim_t(highest + 16)
        var limit = rlimit(rlim_cur: most, rlim_max: most)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        var fillers: [Int32] = []
        while case let filler = open("/dev/null", O_RDONLY), filler >= 0 { fillers.append(filler) }
        guard let last = fillers.popLast() else { throw NoneLeft() }
        close(last)
        return fillers
    }

    /// Of all threads.
    static func cpuMicroseconds() -> Int {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        func microseconds(_ time: timeval) -> Int { Int(time.tv_sec) * 1_000_000 + Int(time.tv_usec) }
        return microseconds(usage.ru_utime) + microseconds(usage.ru_stime)
    }
}
