import ArgumentParser
import Billing
import Glibc
import Metering
import PostgresLedger

extension AccountCommand {
    struct SetStatus: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set", abstract: "Suspend an account, or make it active again.",
            discussion: """
                active also lifts every dispute of the account that is open or lost at this moment: it suspends nobody \
                any more, whatever becomes of it. A new dispute suspends again. What open disputes freeze stays frozen. \
                suspended stays until a person ends it, whatever disputes do. Every instance knows a change within a \
                second; who made it, when and why is kept (`tollgate account show`).
                """)

        /// What a person can make of an account.
        enum Status: String, ExpressibleByArgument, CaseIterable {
            case active, suspended

            var status: AccountBook.Status { self == .active ? .active : .suspended }
        }

        @Option(help: "External user id.")
        var user: String
        @Option(help: "active or suspended.")
        var status: Status
        @OptionGroup var why: RequiredReason

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    let book = store.accounts()
                    let account = try await book.existing(user)
                    guard account.status != .closed else {
                        throw CommandFailure("the account of user '\(user)' is closed")
                    }
                    let receipt = try await book.setStatus(
                        of: account.account, to: status.status, actor: why.note.actor, reason: why.reason)
                    print(
                        "user \(user): \(receipt.from.rawValue) -> \(status.rawValue)"
                            + (receipt.lifted > 0 ? ", disputes lifted: \(receipt.lifted)" : ""))
                }
            }
        }
    }
}

/// Who types.
enum Operator {
    /// `cli:` and the user of the operating system, by name where it has one.
    static var name: String {
        let user = getuid()
        guard let entry = getpwuid(user), let name = entry.pointee.pw_name else { return "cli:\(user)" }
        return "cli:" + String(String(cString: name).prefix(60))
    }
}

extension AccountBook.Standing {
    /// Why it is suspended, and which disputes no longer suspend it; for `account show`.
    var lines: [String] {
        var lines: [String] = []
        if let word {
            let verb = word.to == .active ? "made active" : word.to.rawValue
            lines.append(
                "status   \(verb) by \(word.actor) since \(JournalText.time(word.at)): \(word.reason)")
        }
        for dispute in self.disputes {
            lines.append(
                "dispute  \(dispute.dispute) of purchase \(dispute.purchase) is \(dispute.hold.rawValue) since "
                    + JournalText.time(dispute.since) + (dispute.isLifted ? ", lifted" : ", suspends"))
        }
        return lines
    }
}
