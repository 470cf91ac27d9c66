import Testing

@testable import Tollgate

@Suite struct ServiceManagerTests {
    /// systemd gives up after the whole time, so a third leaves room for two that are late.
    @Test func theWatchdogIsToldThriceInItsTime() {
        let environment = ["WATCHDOG_USEC": "30000000"]
        #expect(ServiceManager.watchdogPause { environment[$0] } == .seconds(10))
    }

    @Test(arguments: [
        [:], ["WATCHDOG_USEC": "0"], ["WATCHDOG_USEC": "soon"],
        ["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"],
    ])
    func withoutAWatchdogOfOursNothingIsSaid(_ environment: [String: String]) {
        #expect(ServiceManager.watchdogPause { environment[$0] } == nil)
    }
}
