import Crypto

/// Lets a person in once when their authenticator is lost: 80 random bits, of which a digest is kept.
public struct RecoveryCode: Sendable, Hashable {
    public static let count = 10

    /// `ABCD-EFGH-2345-6723`
    public let text: String

    public init() {
        var random = SystemRandomNumberGenerator()
        let bytes = (0..<10).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        self.text = Self.grouped(Base32.text(bytes))
    }

    /// As people type it: in any case, with or without dashes and blanks. nil: none.
    public init?(typed: String) {
        let letters = typed.uppercased().filter { $0 != "-" && $0 != " " }
        guard letters.utf8.count == 16,
            letters.utf8.allSatisfy({ 0x41...0x5a ~= $0 || 0x32...0x37 ~= $0 })
        else { return nil }
        self.text = Self.grouped(letters)
    }

    /// What is stored of it. So many random bits need no slow hash.
    public func digest(of staff: Int64) -> [UInt8] {
        Array(SHA256.hash(data: Array("tollgate recovery \(staff) \(self.text)".utf8)))
    }

    private static func grouped(_ letters: String) -> String {
        var groups: [Substring] = []
        var rest = letters[...]
        while !rest.isEmpty {
            groups.append(rest.prefix(4))
            rest = rest.dropFirst(4)
        }
        return groups.joined(separator: "-")
    }
}
