/// One `tollgate serve` beside the stack's own, with one thread.
enum TollgateLane {
    struct Places {
        var port: Int
        var opsPort: Int
        var mockPort: Int
        var journalDirectory: String
        var certificates: StackCertificates?
    }

    /// What every command needs to work on the stack's stores.
    static func storeEnvironment(_ facts: DevStores.Facts, journalDirectory: String) -> [String: String] {
        [
            "DATABASE_URL": facts.databaseURL, "REDIS_URL": facts.redisURL, "KEY_PEPPER": facts.keyPepper,
            "ADMIN_TOKEN": facts.adminToken, "SESSION_SECRET": String(repeating: "s", count: 32),
            "OPENAI_API_KEY": BaselineSettings.operatorKey, "JOURNAL_DIR": journalDirectory,
        ]
    }

    static func environment(
        _ lane: StackLane, _ setup: StackSetup, _ facts: DevStores.Facts, _ places: Places
    ) -> [String: String] {
        var environment = self.storeEnvironment(facts, journalDirectory: places.journalDirectory)
        environment["LISTEN"] = "127.0.0.1:\(places.port)"
        environment["OPS_LISTEN"] = "127.0.0.1:\(places.opsPort)"
        environment["TOLLGATE_THREADS"] = "1"
        environment["ACCESS_LOG"] = "off"
        // Less than the harness waits, so that streams left open by a load do not get it killed.
        environment["SHUTDOWN_TIMEOUT_SECONDS"] = "10"
        if lane == .plain { environment["BILLING_CHARGING_ENABLED"] = "false" }
        environment["OPENAI_BASE_URL"] = "http://127.0.0.1:\(places.mockPort)/v1"
        if setup.tls.upstream, let certificates = places.certificates {
            environment["OPENAI_BASE_URL"] = "https://localhost:\(places.mockPort)/v1"
            environment["OPENAI_CA_FILE"] = certificates.authorityFile
        }
        if setup.tls.client, let certificates = places.certificates {
            environment["TLS_CERT"] = certificates.certificateFile
            environment["TLS_KEY"] = certificates.keyFile
        }
        return environment.merging(setup.environment) { $1 }
    }

    /// Returns when it listens and says that it is ready, which its operator's port tells without TLS.
    static func start(
        _ lane: StackLane, _ setup: StackSetup, _ facts: DevStores.Facts, _ places: Places, directory: String
    ) throws(StackError) -> ChildProgram {
        let child = try ChildProgram(
            name: "tollgate serve (\(lane.rawValue))", [setup.tollgate, "serve"],
            prefix: setup.layout.startPrefix(.proxy),
            environment: self.environment(lane, setup, facts, places), directory: setup.checkout,
            logPath: directory + "/\(lane.rawValue).log")
        try child.wait(60) { LoopbackPort.isListening(places.port) && self.isReady(places.opsPort) }
        return child
    }

    private static func isReady(_ opsPort: Int) -> Bool {
        (try? ControlCall(port: opsPort, timeoutSeconds: 5).get("/ready"))?.status == 200
    }
}
