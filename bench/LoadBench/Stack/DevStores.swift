import Foundation
import Glibc

/// `tollgate dev`, used for its stores: Postgres and Redis, migrated and seeded. It also serves, which makes it the
/// place for control calls that no lane is to feel.
final class DevStores {
    /// The part of `dev.json` that is used here.
    struct Facts: Decodable, Equatable {
        var baseURL: String
        var adminToken: String
        var keyPepper: String
        var databaseURL: String
        var redisURL: String

        init(parsing text: String) throws(StackError) {
            do {
                self = try JSONDecoder().decode(Facts.self, from: Data(text.utf8))
            } catch {
                throw .file(path: "dev.json", reason: "is not what tollgate dev writes: \(error)")
            }
        }

        /// nil when it is no URL with a port.
        var port: Int? { URLComponents(string: self.baseURL)?.port }
    }

    let child: ChildProgram
    let facts: Facts
    let port: Int
    let journalDirectory: String

    private init(child: ChildProgram, facts: Facts, port: Int, journalDirectory: String) {
        self.child = child
        self.facts = facts
        self.port = port
        self.journalDirectory = journalDirectory
    }

    /// Returns when `dev.json` is there, which is when all is ready.
    ///
    /// - Parameter started: told of the child at once, so that it is stopped when it does not become ready.
    static func start(
        _ setup: StackSetup, directory: String, started: (ChildProgram) -> Void
    ) throws(StackError) -> DevStores {
        let state = directory + "/dev"
        let (ready, journal) = (state + "/dev.json", state + "/journal")
        let child = try ChildProgram(
            name: "tollgate dev", [setup.tollgate, "dev", "--port", "0", "--dir", state],
            prefix: setup.layout.startPrefix(.other),
            environment: ["ACCESS_LOG": "off", "JOURNAL_DIR": journal], directory: setup.checkout,
            logPath: directory + "/dev.log")
        started(child)
        // It is written beside and renamed: what can be seen is whole.
        try child.wait(180) { access(ready, R_OK) == 0 }
        let facts = try Facts(parsing: try StackFiles.read(ready))
        guard let port = facts.port else {
            throw .file(path: ready, reason: "has no port in \(facts.baseURL)")
        }
        return DevStores(child: child, facts: facts, port: port, journalDirectory: journal)
    }

    /// `redis` and `postgres`, which it started as its children.
    func watched() throws(StackError) -> [WatchedProcess] {
        let names = [
            "redis-server": "redis", "valkey-server": "redis", "postgres": "postgres",
        ]
        let found = ProcFiles.children(self.child.pid).compactMap { pid -> WatchedProcess? in
            ProcFiles.name(pid).flatMap { names[$0] }.map { WatchedProcess(name: $0, pid: pid) }
        }.sorted { $0.name > $1.name }
        for wanted in ["redis", "postgres"] where !found.contains(where: { $0.name == wanted }) {
            throw .gone(process: "\(wanted), a child of tollgate dev", pid: self.child.pid)
        }
        return found
    }
}
