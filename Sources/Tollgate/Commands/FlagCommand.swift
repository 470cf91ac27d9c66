import ArgumentParser
import Billing
import Metering
import PostgresLedger

struct FlagCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flag", abstract: "Kill switches and rollout, changed while the proxy runs.",
        discussion: """
            A flag overrides the value that the environment gives; it is known by the name of that variable. Every \
            instance acts on a change within a second; exchanges that were admitted before end as they began. Who \
            changed what, when and why is in the audit log.

            """
                + ControlName.allCases.map { "\($0.rawValue): \($0.meaning)." }.joined(separator: "\n"),
        subcommands: [List.self, Set.self, Clear.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "What was set on every instance, by whom and since when.",
            discussion: """
                A flag that nobody set has the value of each instance's own environment, which this command cannot know: it \
                shows what its own environment says. GET /api/admin/flags is answered by an instance, and tells its.
                """)

        @Flag(help: "A JSON array on standard output.") var json = false

        func run() async throws {
            try await FlagCommand.withDesk { desk in
                let flags = try await desk.flags()
                if json { return print(try CommandJSON.of(flags.map(FlagJSON.init))) }
                for flag in flags { print(flag.line) }
            }
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Set a flag on every instance.")

        @Argument(help: "Such as BILLING_CHARGING_ENABLED.") var name: String
        @Argument(help: "As in the environment; lists by commas.") var value: String
        @OptionGroup var change: FlagChangeOptions

        func validate() throws {
            do throws(ControlProblem) {
                _ = try Controls.canonical(FlagCommand.control(name), value)
            } catch {
                throw ValidationError("\(error)")
            }
        }

        func run() async throws {
            let control = try FlagCommand.control(name)
            try await FlagCommand.withDesk { desk in
                FlagCommand.tell(
                    try await desk.setFlag(control, to: value, expecting: change.version, change.note))
            }
        }
    }

    struct Clear: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a flag back: the environment's value is in force again.")

        @Argument(help: "Such as BILLING_CHARGING_ENABLED.") var name: String
        @OptionGroup var change: FlagChangeOptions

        func validate() throws {
            do throws(ControlProblem) {
                _ = try FlagCommand.control(name)
            } catch {
                throw ValidationError("\(error)")
            }
        }

        func run() async throws {
            let control = try FlagCommand.control(name)
            try await FlagCommand.withDesk { desk in
                FlagCommand.tell(
                    try await desk.clearFlag(control, expecting: change.version, change.note))
            }
        }
    }

    static func control(_ name: String) throws(ControlProblem) -> ControlName {
        guard let control = ControlName(rawValue: name) else {
            let known = ControlName.allCases.map(\.rawValue).joined(separator: ", ")
            throw ControlProblem(name, "is no flag; flags are \(known)")
        }
        return control
    }

    private static func withDesk(_ body: (FlagBook) async throws -> Void) async throws {
        try await reporting {
            let start = try Controls.environment()
            try await StoreSession.with { store in
                do {
                    try await body(FlagBook(pool: store.pool, start: start))
                } catch let refusal as FlagRefusal {
                    complain(refusal.words)
                    throw refusal == .ledgerUnavailable ? Exit.unavailable : Exit.checkFailed
                }
            }
        }
    }

    private static func tell(_ receipt: FlagReceipt) {
        let (before, after) = (receipt.before, receipt.after)
        guard before.version != after.version else {
            return print("\(after.name.rawValue): \(after.words), as it was")
        }
        print(
            "\(after.name.rawValue): \(before.words) -> \(after.words), version \(after.version), since "
                + (after.change.map { JournalText.time($0.at) } ?? "now"))
    }
}

struct FlagChangeOptions: ParsableArguments {
    @OptionGroup var why: RequiredReason
    @Option(
        name: .customLong("if-version"),
        help: "Refuse if the flag was changed since it had this version (0: never changed).")
    var version: Int64?

    var note: ChangeNote { why.note }
}

extension FlagRefusal {
    fileprivate var words: String {
        switch self {
        case .badValue(let problem): "\(problem)"
        case .invalidReason: "the reason is not 1 to 1,000 bytes without control characters"
        case .changedMeanwhile(let version): "the flag was changed meanwhile: it has version \(version)"
        case .ledgerUnavailable: "the ledger is unavailable"
        }
    }
}

extension FlagState {
    fileprivate var line: String {
        let line = "\(self.name.rawValue) = \(self.value)  "
        guard self.source == .flag else {
            return line + "(this command's environment; what counts is that of each instance)"
        }
        guard let change else { return line + "(flag)" }
        return line + "(flag, by \(change.actor) since \(JournalText.time(change.at)): \(change.reason))"
    }

    /// What the ledger knows of it.
    fileprivate var words: String {
        self.source == .flag ? self.value : "what each instance's environment says"
    }
}

private struct FlagJSON: Encodable {
    var name, value, environmentValue, source: String
    var version: Int64
    var actor, reason, changedAt: String?

    init(_ flag: FlagState) {
        (self.name, self.value) = (flag.name.rawValue, flag.value)
        (self.environmentValue, self.source) = (flag.environmentValue, flag.source.rawValue)
        self.version = flag.version
        (self.actor, self.reason) = (flag.change?.actor, flag.change?.reason)
        self.changedAt = flag.change.map { JournalText.time($0.at) }
    }
}
