import ArgumentParser

@main
struct TollgateBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tollgate-bench",
        abstract:
            "Load for Tollgate, or for anything that speaks OpenAI's API, and the books held against it.",
        discussion: """
            A scenario says what the load is; 'list' shows those that ship, and bench/scenarios/README.md what can stand in \
            one. 'compare' starts Tollgate, its stores, a mock of OpenAI and the proxies to compare with on this machine, and \
            lets them take turns. 'run' sends the load to a deployment that is there.

            Exits 1 when a reply was not the upstream's, when a charge is not what was used, or when an exchange failed.
            """,
        subcommands: [
            CompareCommand.self, RunCommand.self, CountsCommand.self, SettleCommand.self,
            ListCommand.self, ReportCommand.self,
        ])
}
