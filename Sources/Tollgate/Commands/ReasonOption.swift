import ArgumentParser
import Billing
import Metering

/// Why somebody changes something that only a person decides; it must be given.
struct RequiredReason: ParsableArguments {
    @Option(help: "Kept with the change in the audit log, 1 to 1,000 bytes.")
    var reason: String

    var note: ChangeNote { Operator.note(self.reason) }

    func validate() throws { try self.reason.checkAsReason() }
}

/// Why somebody makes a change that speaks for itself.
struct OptionalReason: ParsableArguments {
    @Option(help: "Kept with the change in the audit log, 1 to 1,000 bytes; default: the command.")
    var reason: String?

    func note(_ command: String) -> ChangeNote { Operator.note(self.reason ?? command) }

    func validate() throws { try self.reason?.checkAsReason() }
}

extension String {
    fileprivate func checkAsReason() throws {
        guard Reason.isValid(self) else {
            throw ValidationError(
                "--reason must be 1 to 1,000 bytes that are not all blank, without control characters")
        }
    }
}

extension Operator {
    /// What the audit log keeps of a command.
    fileprivate static func note(_ reason: String) -> ChangeNote {
        ChangeNote(actor: self.name, reason: reason)
    }
}
