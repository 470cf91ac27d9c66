import Billing
import Metering

/// A page of the console, with the least role that may open it. The one list of them is `ConsolePages.routes`.
struct ConsoleRoute: Sendable {
    enum Kind: Sendable {
        case page(@Sendable (ConsolePages, ConsoleView) async throws -> Page)
        /// A form, a question, and a change.
        case action(ConsoleAction)
    }

    var path: String
    var role: StaffRole
    var kind: Kind
}

/// Who looks, and at what.
struct ConsoleView: Sendable {
    var staff: Staff
    /// Without `WebSite.base`.
    var path: String
    var parameters: [String: String]
    var context: ControlContext

    var csrf: String? { self.staff.session?.token.csrf }

    func parameter(_ name: String) -> String? { self.parameters[name] }

    /// What the audit log keeps of a change by them.
    func note(_ reason: String) -> ChangeNote { self.staff.note(reason, self.context) }
}

/// A change by a form. It is asked for with a reason, shown as what it would do, and done once that was confirmed.
struct ConsoleAction: Sendable {
    var title: String
    /// What the last button says.
    var verb: String
    var isDangerous = false
    /// The form, with what was typed so far.
    var sheet: @Sendable (ConsolePages, ConsoleView, ConsoleEntry) async throws -> ConsoleSheet
    /// Checks what was typed. Throws an `APIError` that names the field.
    var plan: @Sendable (ConsolePages, ConsoleView, ConsoleEntry) async throws -> ConsolePlan
}

/// What was typed into a form.
struct ConsoleEntry: Sendable {
    var values: [String: String] = [:]
    /// What it leads to was shown, and it is to be done.
    var isConfirmed = false

    /// Without blanks at its ends; nil: absent or empty.
    subscript(name: String) -> String? {
        guard let value = self.values[name]?.trimmed, !value.isEmpty else { return nil }
        return value
    }

    /// - Parameter label: as the form calls it.
    func text(_ name: String, _ label: String, _ bytes: ClosedRange<Int> = 1...1024) throws -> String {
        guard let text = self[name] else { throw APIError.badRequest(name, "\(label) is missing.") }
        guard bytes.contains(text.utf8.count), !text.unicodeScalars.contains("\0") else {
            throw APIError.badRequest(
                name, "\(label) must have \(bytes.lowerBound) to \(bytes.upperBound) bytes, none of them NUL."
            )
        }
        return text
    }

    /// Why it is done; of every change.
    func reason() throws -> String {
        let text = try self.text("reason", "The reason", 1...1000)
        guard Reason.isValid(text) else {
            throw APIError.badRequest("reason", "The reason must not have control characters.")
        }
        return text
    }

    func word<Value: RawRepresentable & CaseIterable>(
        _ name: String, _ label: String, _ type: Value.Type
    ) throws -> Value where Value.RawValue == String {
        guard let value = Value(rawValue: self[name] ?? "") else {
            throw APIError.badRequest(name, "\(label) must be one of those offered.")
        }
        return value
    }
}

/// A form as it is shown.
struct ConsoleSheet {
    var facts: [ConsoleFact] = []
    var note: String?
    var inputs: [ConsoleInput] = []
    /// Sent along unseen: the version that was shown, or the key by which a change counts once. Made anew when they are
    /// not typed values of before.
    var hidden: [(name: String, value: String)] = []
    /// Parts below the form.
    var more: [ConsolePart] = []

    static func reason(_ entry: ConsoleEntry) -> ConsoleInput {
        .text("reason", "Reason", entry["reason"], hint: "Kept in the audit log, for people.")
    }
}

/// What would be done.
struct ConsolePlan: Sendable {
    struct Change: Sendable {
        var name: String
        var before: String
        var after: String
    }

    enum Outcome: Sendable {
        /// A page of ours to go to.
        case go(String)
        /// Something that is shown once.
        case show(ConsoleOnce)
    }

    var changes: [Change]
    /// What follows from it, for people.
    var consequence: String
    var warning: String?
    /// Shown below the question.
    var more: [ConsolePart] = []
    var run: @Sendable () async throws -> Outcome
}

/// What is shown once, right after a change.
struct ConsoleOnce: Sendable {
    var title: String
    var note: String
    var words: [String] = []
    var next: (text: String, path: String)
}
