import Foundation

/// Where a cluster's files are, and who owns them.
struct PostgresPlace {
    /// What the caller named: secret, log and lock are here.
    let directory: String
    /// The cluster; owned by `user`.
    let data: String
    let user: UnprivilegedUser?

    /// Finds or makes the place. A directory that the unprivileged user cannot enter (such as one below /root) holds
    /// only a link; the cluster is then below `/var/lib/tollgate-dev`, or below /tmp for what is itself there.
    init(directory: String, log: (String) -> Void) throws {
        self.directory = directory
        self.user = try UnprivilegedUser.ifRoot()
        let wanted = directory + "/postgres"
        let files = FileManager.default
        if let linked = try? files.destinationOfSymbolicLink(atPath: wanted), files.fileExists(atPath: linked)
        {
            self.data = linked
        } else if let user = self.user, !Self.canEnter(directory, user) {
            self.data = try Self.elsewhere(linkedFrom: wanted, user)
            log("the cluster is in \(self.data), since user \(user.name) cannot enter \(directory)")
        } else {
            self.data = wanted
        }
    }

    /// The major version that made the cluster; nil: there is none yet.
    var version: String? {
        (try? String(contentsOfFile: self.data + "/PG_VERSION", encoding: .utf8))?
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Makes the cluster next to its place and moves it there: an interrupted initdb leaves nothing that looks whole.
    func makeCluster(_ programs: PostgresPrograms, secret: String, durable: Bool) throws {
        let fresh = self.data + ".new"
        try? FileManager.default.removeItem(atPath: fresh)
        guard mkdir(fresh, 0o700) == 0 else {
            throw LocalStoresError.system("initdb", "cannot make \(fresh)")
        }
        if let user = self.user, chown(fresh, user.uid, user.gid) != 0 {
            throw LocalStoresError.system("initdb", "cannot give \(fresh) to \(user.name)")
        }
        try programs.initialise(fresh, secret: secret, user: self.user, durable: durable)
        rmdir(self.data)
        guard rename(fresh, self.data) == 0 else {
            throw LocalStoresError.system("initdb", "cannot move the cluster to \(self.data)")
        }
    }

    /// What `postmaster.pid` says of a server that we started: true once it accepts connections.
    func isReady(pid: pid_t) -> Bool {
        guard let text = try? String(contentsOfFile: self.data + "/postmaster.pid", encoding: .utf8) else {
            return false
        }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        return lines.count >= 8 && lines[0] == "\(pid)" && lines[7].hasPrefix("ready")
    }

    /// Ends what a killed run left here. The caller holds the lock.
    func endLeftovers() throws {
        try Leftovers.end(["postgres"], directory: self.data, signals: [SIGINT, SIGQUIT])
        // Nobody works here now: a pid in this file is somebody else's by now, and would only stop the server.
        unlink(self.data + "/postmaster.pid")
    }

    private static func canEnter(_ directory: String, _ user: UnprivilegedUser) -> Bool {
        (try? Spawn.run("test", user.prefix + ["test", "-x", directory])) != nil
    }

    private static func elsewhere(linkedFrom link: String, _ user: UnprivilegedUser) throws -> String {
        let files = FileManager.default
        let isTemporary = link.hasPrefix("/tmp/") || link.hasPrefix("/var/tmp/")
        let root = isTemporary ? "/tmp" : "/var/lib/tollgate-dev"
        if isTemporary { self.sweep() }
        let home = root + "/tollgate-postgres-" + Secret.random(length: 12)
        do {
            try files.createDirectory(
                atPath: root, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
            // In this order: a cluster whose link is not there may be swept away by another process.
            unlink(link)
            try files.createSymbolicLink(atPath: link, withDestinationPath: home + "/data")
            try files.createDirectory(
                atPath: home, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755])
            try Data(link.utf8).write(to: URL(fileURLWithPath: home + "/linked-from"), options: .atomic)
        } catch {
            throw LocalStoresError(
                program: "postgres", step: "cannot make a place below \(root)", tail: "\(error)")
        }
        return home + "/data"
    }

    /// Removes clusters in /tmp whose link is gone with the temporary directory that it stood in.
    private static func sweep() {
        let files = FileManager.default
        for name in (try? files.contentsOfDirectory(atPath: "/tmp")) ?? []
        where name.hasPrefix("tollgate-postgres-") {
            let home = "/tmp/" + name
            guard let owner = try? files.attributesOfItem(atPath: home)[.ownerAccountID] as? UInt, owner == 0,
                let link = try? String(contentsOfFile: home + "/linked-from", encoding: .utf8),
                (try? files.destinationOfSymbolicLink(atPath: link)) != home + "/data"
            else { continue }
            try? Leftovers.end(["postgres"], directory: home + "/data", signals: [SIGINT, SIGQUIT])
            try? files.removeItem(atPath: home)
        }
    }
}
