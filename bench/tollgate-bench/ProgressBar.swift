import Foundation
import LoadBench

/// Says on standard error what goes on; one line that is written over on a terminal, a line for each step elsewhere.
struct ProgressBar {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private static let width = 30

    /// - Parameter share: of the step, 0…1; nil: nobody knows.
    func show(_ step: String, _ share: Double?) {
        guard self.isTerminal else { return }
        var line = "\r\u{1b}[K"
        if let share {
            let filled = Int(min(1, max(0, share)) * Double(Self.width))
            line +=
                "[" + String(repeating: "=", count: filled)
                + String(repeating: " ", count: Self.width - filled) + "] "
        }
        self.write(line + step)
    }

    func show(_ progress: LocalSuite.Progress) {
        switch progress {
        case .step(let step): self.say("    " + step)
        case .turn(let turn, let share): self.show(turn, share)
        case .done(let run): self.say("    " + run.line)
        }
    }

    /// A step is over, or begins where no bar can be shown.
    func say(_ line: String) {
        self.write((self.isTerminal ? "\r\u{1b}[K" : "") + line + "\n")
    }

    private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}

extension RunResult {
    /// Of a turn that is over, in a few words.
    fileprivate var line: String {
        var text =
            "\(self.place)  \(self.lane): \(Int(self.perSecond)) exchanges/s, p50 \(self.total.p50) µs, p99 \(self.total.p99) µs"
        if let cpu = self.cpuPerThousand("proxy") { text += ", \(Int((cpu * 1000).rounded())) CPU µs each" }
        if self.failed > 0 { text += ", \(self.failed) failed" }
        if let billing = self.billing, billing.difference != 0 {
            text += ", books off by \(billing.difference)"
        }
        return text
    }
}
