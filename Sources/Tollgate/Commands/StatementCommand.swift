import ArgumentParser
import Billing
import Foundation
import Metering
import PostgresLedger

struct StatementCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "statement", abstract: "What happened to an account's credits in a month.",
        discussion: """
            Opening balance, purchases, usage by day and model, refunds, disputes, adjustments, corrections, closing \
            balance; months are UTC. A statement that does not add up to the millicredit is not written: exit 1. That \
            of the current month says that it is not final. Reads DATABASE_URL; for PDF also STATEMENT_NAME, \
            STATEMENT_ADDRESS and STATEMENT_LOGO.

            With --all, one file per account that has something to say, on one snapshot of the ledger, named by the \
            statement's number.
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case csv, pdf, json
    }

    @Option(help: "External user id.")
    var user: String?
    @Flag(help: "Every account; --output names a directory.")
    var all = false
    @Option(help: "YYYY-MM.")
    var month: String
    @Option(help: "csv, pdf or json.")
    var format: Format = .csv
    @Option(help: "A file, or the directory of --all; without it standard output.")
    var output: String?

    func validate() throws {
        guard UTCMonth(text: self.month) != nil else { throw ValidationError("--month must be YYYY-MM") }
        guard self.all != (self.user != nil) else { throw ValidationError("give --user or --all") }
        if self.all, self.output == nil { throw ValidationError("--all needs --output, a directory") }
    }

    func run() async throws {
        try await reporting {
            guard let month = UTCMonth(text: self.month) else {
                preconditionFailure("validate() looked at it")
            }
            let form = StatementForm(format: self.format, settings: try StatementForm.settings())
            try await StoreSession.with { store in
                if let user = self.user {
                    try await self.write(user, month, form, store)
                } else {
                    try await self.writeAll(month, form, store)
                }
            }
        }
    }

    private func write(_ user: String, _ month: UTCMonth, _ form: StatementForm, _ store: StoreSession)
        async throws
    {
        guard let account = try await store.accounts().account(userID: user)?.account else {
            throw CommandFailure("no account of user '\(user)'")
        }
        guard let issued = try await store.ledger.statement(of: account, month: month) else {
            throw CommandFailure("there is no statement of \(month): the account's first month to this one")
        }
        let bytes = try form.bytes(issued)
        if let output {
            try bytes.write(to: URL(fileURLWithPath: output), options: .atomic)
        } else {
            try FileHandle.standardOutput.write(contentsOf: bytes)
        }
    }

    private func writeAll(_ month: UTCMonth, _ form: StatementForm, _ store: StoreSession) async throws {
        let directory = URL(fileURLWithPath: self.output ?? ".", isDirectory: true)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let progress = try await store.ledger.foldStatements(of: month, into: StatementProgress()) {
            progress, result in
            switch result.outcome {
            case .success(let statement):
                let issued = IssuedStatement(statement: statement, issued: result.issued)
                let name = "\(statement.number).\(form.format.rawValue)"
                try form.bytes(issued).write(to: directory.appendingPathComponent(name), options: .atomic)
                progress.written()
            case .failure(let failure):
                complain("statement: account \(result.account) does not add up: \(failure)")
                progress.failures += 1
            }
        }
        guard let progress else { throw CommandFailure("\(month) has not begun") }
        print("\(progress.files) statements of \(month) in \(directory.path)")
        guard progress.failures == 0 else { throw Exit.checkFailed }
    }
}

/// Of `--all`; says on standard error how far it is.
private struct StatementProgress: Sendable {
    var files = 0
    var failures = 0

    mutating func written() {
        self.files += 1
        if self.files.isMultiple(of: 100) { complain("statement: \(self.files) written") }
    }
}

/// How statements are written.
private struct StatementForm: Sendable {
    var format: StatementCommand.Format
    var settings: StatementSettings

    static func settings() throws -> StatementSettings {
        var reader = SettingsReader.environment()
        let settings = StatementSettings(&reader)
        guard reader.problems.isEmpty else { throw BadConfiguration(problems: reader.problems) }
        return settings
    }

    func bytes(_ issued: IssuedStatement) throws -> Data {
        switch self.format {
        case .csv: Data(issued.statement.csv.utf8)
        case .json: Data((issued.statement.json + "\n").utf8)
        case .pdf: Data(try self.settings.pdf(issued).get())
        }
    }
}
