import ArgumentParser
import Glibc

/// Exit codes of CONTRACT §2: 0 ok, 1 a check failed, 64 usage, 69 dependency unavailable, 78 bad
/// configuration.
struct TollgateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tollgate",
        abstract: "A metering reverse proxy for the OpenAI API.",
        discussion:
            "Configuration comes from the environment; `serve --help` lists it. Secrets can be given as NAME_FILE.",
        version: Version.text,
        subcommands: [
            ServeCommand.self, DevCommand.self, MigrateCommand.self, SeedCommand.self, AccountCommand.self,
            KeyCommand.self, PortalLinkCommand.self, RateCardCommand.self, EstimateCommand.self,
            JournalCommand.self,
            LedgerCommand.self, VerifyCommand.self, ReconcileCommand.self, BooksCommand.self,
            StatementCommand.self,
            FlagCommand.self, RefundCommand.self, StripeCommand.self, BackupCommand.self, RestoreCommand.self,
            TokenizerCommand.self, PreflightCommand.self, SmokeTestCommand.self, HealthCommand.self,
            ShadowCommand.self, StaffCommand.self, AuditCommand.self, VerifyMonitoringCommand.self,
            ReviewCommand.self,
        ])
}

enum Version {
    static let text = "0.1.0"
}

/// Where the process starts and ends.
@main
enum EntryPoint {
    static func main() async {
        // A client that closes its socket must be an error of that write, never a signal to the process.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try TollgateCommand.parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            self.leave(TollgateCommand.exitCode(for: error), saying: TollgateCommand.fullMessage(for: error))
        }
        self.leave(.success)
    }

    /// Without the exit handlers of libraries: event loops and connections' threads still run, and would use what these
    /// take down (a `verify` that had found everything clean has crashed so).
    private static func leave(_ code: ExitCode, saying message: String = "") -> Never {
        if !message.isEmpty {
            if code.isSuccess { print(message) } else { standardError(message) }
        }
        fflush(nil)
        _exit(code.rawValue)
    }
}
