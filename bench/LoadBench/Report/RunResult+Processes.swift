extension RunResult {
    enum WatchedProcess: String {
        case proxy
    }

    func process(_ watched: WatchedProcess) -> ProcessUse? {
        self.processes.first { $0.name == watched.rawValue }
    }

    /// nil as `cpuPerThousand`.
    var proxyMicrosecondsEach: Double? {
        // Seconds for 1,000 are milliseconds for one.
        self.cpuPerThousand(WatchedProcess.proxy.rawValue).map { $0 * 1000 }
    }
}
