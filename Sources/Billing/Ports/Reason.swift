/// Why a person did something to an account or a payment; kept with it, for people.
public enum Reason {
    /// 1 to 1,000 bytes that are not all blank, without control characters.
    public static func isValid(_ text: String) -> Bool {
        1...1000 ~= text.utf8.count && text.utf8.contains { $0 > 0x20 }
            && text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f }
    }
}
