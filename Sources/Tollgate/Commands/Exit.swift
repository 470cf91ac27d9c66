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

/// Writes one line to standard error, and says whose it is.
func complain(_ text: String) { standardError("tollgate: " + text) }

/// Writes one line to standard error.
func standardError(_ text: String) {
    (text + "\n").utf8CString.withUnsafeBytes { bytes in
        _ = Glibc.write(2, bytes.baseAddress, bytes.count - 1)
    }
}

/// Runs a command's body and turns what it throws into a message and the right exit code.
func reporting(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let error as BadConfiguration {
        complain("\(error)")
        throw Exit.badConfiguration
    } catch let error as UsageError {
        complain("\(error)")
        throw Exit.usage
    } catch let error as AccountBook.Failure {
        complain(error.sentence)
        throw error.isUsage ? Exit.usage : Exit.checkFailed
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

extension AccountBook.Failure {
    /// What was typed could be no user, label or reason of anybody.
    fileprivate var isUsage: Bool {
        switch self {
        case .invalidUserID, .invalidLabel, .invalidReason: true
        case .noSuchAccount, .accountClosed, .noSuchKey: false
        }
    }

    fileprivate var sentence: String {
        switch self {
        case .invalidUserID: "--user must be 1 to 256 bytes of UTF-8 without control characters"
        case .invalidLabel: "--user must be a name of 1 to 256 bytes without control characters"
        case .invalidReason:
            "--reason must be 1 to 1,000 bytes that are not all blank, without control characters"
        case .noSuchAccount: "there is no such account"
        case .accountClosed: "the account is closed for good"
        case .noSuchKey: "there is no such key"
        }
    }
}
