import ArgumentParser
import Metering
import PostgresLedger

struct KeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "API keys: create, list, limit, revoke.",
        subcommands: [Create.self, List.self, Limits.self, Revoke.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create a key. Its secret is shown once, on standard output.")

        @Option(help: "The user whose account it spends; with --service a name for the key.")
        var user: String
        @Flag(help: "A service key: bills whichever user a request names in X-Tollgate-User.")
        var service = false
        @OptionGroup var limits: LimitOptions
        @OptionGroup var why: OptionalReason

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    let book = try store.book()
                    let made =
                        service
                        ? try await book.createServiceKey(label: user, note: why.note("key create"))
                        : try await book.createKey(userID: user, note: why.note("key create"))
                    if !limits.changes.isEmpty {
                        try await book.changeLimits(
                            ofKey: made.keyID, limits.changes, note: why.note("key create"))
                    }
                    print(made.secret.text)
                    complain("key \(made.keyID) created; the secret is not stored and cannot be shown again")
                }
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Keys, without their secrets.")

        @Option(help: "Only the keys of this user.")
        var user: String?

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    print("key\tprefix\tholder\tname\tstate\t\(RequestLimitOverrides.heading)")
                    for key in try await store.book().keys(userID: user) {
                        let holder = key.holder == .service ? "service" : "account"
                        let state = key.revokedAt == nil ? "active" : "revoked"
                        print(
                            "\(key.keyID)\t\(key.prefix)…\t\(holder)\t\(key.label)\t\(state)\t\(key.limits.line)"
                        )
                    }
                }
            }
        }
    }

    struct Limits: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show or change the limits of a key; every instance knows them within a second.")

        @Argument(help: "Number of the key, as `key list` shows it.")
        var key: Int64
        @OptionGroup var limits: LimitOptions
        @OptionGroup var why: OptionalReason

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    let now = try await store.accounts().changeLimits(
                        ofKey: key, limits.changes, note: why.note("key limits"))
                    print("key\t\(RequestLimitOverrides.heading)\n\(key)\t\(now.line)")
                }
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke a key; every instance refuses it within a second.")

        @Argument(help: "Number of the key, as `key list` shows it.")
        var key: Int64
        @OptionGroup var why: OptionalReason

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    try await store.book().revokeKey(key, note: why.note("key revoke"))
                    print("key \(key) revoked")
                }
            }
        }
    }
}
