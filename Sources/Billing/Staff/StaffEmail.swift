/// The address that a person signs in with.
public struct StaffEmail: Sendable, Hashable, CustomStringConvertible {
    /// In lower case: nobody has two accounts by two spellings.
    public let text: String

    public var description: String { self.text }

    /// nil: no address.
    public init?(_ typed: String) {
        let text = typed.lowercased()
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        let isPlain = text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7f }
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty, text.utf8.count <= 254, isPlain else {
            return nil
        }
        self.text = text
    }
}

/// What a password must be like.
public enum PasswordRule: String, Error, Sendable, Hashable, CaseIterable {
    case tooShort = "must have at least 12 characters"
    case tooLong = "must not be longer than 1024 bytes"
    case containsEmail = "must not contain the email address, nor its name"
    case fewCharacters = "must be made of more than four different characters"

    /// nil: it may be used.
    public static func broken(by password: String, of email: StaffEmail) -> PasswordRule? {
        let folded = password.lowercased()
        let name = email.text.prefix { $0 != "@" }
        if password.count < 12 { return .tooShort }
        if password.utf8.count > 1024 { return .tooLong }
        if folded.contains(email.text) || (name.count >= 4 && folded.contains(name)) { return .containsEmail }
        return Set(folded).count > 4 ? nil : .fewCharacters
    }
}
