import ArgumentParser
import Glibc
import PostgresLedger

/// The exit codes that mean something to a script (CONTRACT §2).
enum Exit {
    static let checkFailed = ExitCode(1)
    static let usage = ExitCode(64)
    static let unavailable = ExitCode(69)
    static let badConfiguration = ExitCode(78)
}

/// Writes one line to standard error.
func complain(_ text: String) {
    let line = "tollgate: " + text + "\n"
    line.utf8CString.withUnsafeBytes { bytes in _ = Glibc.write(2, bytes.baseAddress, bytes.count - 1) }
}

/// Runs a command's body and turns what it throws into a message and the right exit code.
func reporting(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let error as BadConfiguration {
        complain("\(error)")
        throw Exit.badConfiguration
    } catch let error as ExitCode {
        throw error
    } catch let error as PostgresError where error.isUnreachable {
        complain("the ledger is unavailable: \(error)")
        throw Exit.unavailable
    } catch {
        complain("\(error)")
        throw Exit.checkFailed
    }
}
