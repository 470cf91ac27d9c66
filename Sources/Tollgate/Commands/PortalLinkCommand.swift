import ArgumentParser
import Billing
import ControlPlane
import Foundation
import Metering
import PostgresLedger

struct PortalLinkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "portal-link",
        abstract: "A link that opens a user's credits page once, within five minutes.",
        discussion: """
            Whoever opens it sees that user's balance, usage and purchases, and can buy for them; so who made it, when \
            and why is in the audit log. Needs SESSION_SECRET and PUBLIC_URL as `tollgate serve` has them.
            """)

    @Option(help: "External user id.")
    var user: String
    @OptionGroup var why: OptionalReason

    func run() async throws {
        try await reporting {
            var reader = SettingsReader.environment()
            let secrets = reader.requiredSecrets("SESSION_SECRET", "key of browser sessions", bytesMin: 32)
            let listen = reader.listenAddress("LISTEN", default: "127.0.0.1:8080")
            let publicURL = ServeConfiguration.publicURL(&reader, listen: listen, scheme: "http")
            guard reader.problems.isEmpty else { throw BadConfiguration(problems: reader.problems) }
            let hasher = KeyHasher(peppers: secrets.map { Array($0.value.utf8) })
            try await StoreSession.with { store in
                let account = try await store.accounts().existing(user)
                let link = try await PortalSessions(store: store.ledger, hasher: hasher).link(
                    to: account.account, on: publicURL,
                    note: why.note("portal-link"))
                print(link.url)
            }
        }
    }
}
