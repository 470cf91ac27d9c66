import ArgumentParser
import LedgerSim

@main
struct LedgerSimCommand: ParsableCommand {
    func run() { _ = SimRandom(seed: 1) }
}
