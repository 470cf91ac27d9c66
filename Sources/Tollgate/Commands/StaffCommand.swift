import ArgumentParser
import Billing
import PostgresLedger

struct StaffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "staff", abstract: "People of the operator's: invite, list, role, reset, disable.",
        subcommands: [Create.self, List.self, Role.self, Reset.self, Disable.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Invite somebody; the link to set a password is shown once, on standard output.",
            discussion: "It holds for three days. With PUBLIC_URL it is a link, without it only its token.")

        @Option(help: "What they sign in with.") var email: StaffEmail
        @Option(help: "What the audit log calls them: a-z, 0-9, '.', '_' and '-'.") var name: String
        @Option(help: "viewer, support, finance or owner.") var role: StaffRole
        @OptionGroup var why: OptionalReason

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    let invitation = try await StaffBook(pool: store.pool).create(
                        email: email, name: name, role: role, note: why.note("staff create"))
                    invitation.show()
                }
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Everybody, with role and state.")

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    print("name\temail\trole\tstate\tlast sign-in")
                    for member in try await StaffBook(pool: store.pool).list() {
                        let last = member.signedInAt.map { JournalText.time($0) } ?? "-"
                        print(
                            "\(member.name)\t\(member.email)\t\(member.role.rawValue)\t\(member.state.rawValue)\t\(last)"
                        )
                    }
                }
            }
        }
    }

    struct Role: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Give somebody another role.")

        @Option(help: "Whose.") var email: StaffEmail
        @Option(help: "viewer, support, finance or owner.") var role: StaffRole
        @OptionGroup var why: OptionalReason

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    try await StaffBook(pool: store.pool).setRole(
                        role, of: email, note: why.note("staff role"))
                    print("\(email) is \(role.rawValue)")
                }
            }
        }
    }

    struct Reset: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Invite somebody again: password, authenticator, recovery codes and sessions end.")

        @Option(help: "Whose.") var email: StaffEmail
        @OptionGroup var why: OptionalReason

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    let invitation = try await StaffBook(pool: store.pool).reset(
                        email, note: why.note("staff reset"))
                    invitation.show()
                }
            }
        }
    }

    struct Disable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let somebody in no more; their sessions end. `reset` invites them again.")

        @Option(help: "Whom.") var email: StaffEmail
        @OptionGroup var why: OptionalReason

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    try await StaffBook(pool: store.pool).disable(email, note: why.note("staff disable"))
                    print("\(email) is disabled")
                }
            }
        }
    }
}

extension StaffEmail: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension StaffRole: ExpressibleByArgument {}

extension StaffBook.Invitation {
    /// Behind `#`: no server's log has it.
    fileprivate func show() {
        let site = System.environment("PUBLIC_URL").flatMap { $0.isEmpty ? nil : $0 }
        print(site.map { "\($0)/admin/enrol#\(self.token)" } ?? self.token)
        complain("the invitation is not stored and cannot be shown again; it holds for three days, once")
    }
}
