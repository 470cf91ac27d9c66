import ArgumentParser

struct StripeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stripe",
        abstract: "What Stripe told us: apply events again, decide dead ones, prove the webhook's set-up.",
        subcommands: [StripeReplayCommand.self, StripeDismissCommand.self, StripeListenCheckCommand.self])
}
