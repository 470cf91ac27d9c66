/// The external name of an account, as app backends choose it.
public enum UserID {
    /// 1 to 256 bytes of UTF-8 without control characters, nor the mark of a decoding error.
    public static func isValid(_ text: String) -> Bool {
        let count = text.utf8.count
        guard count >= 1, count <= 256 else { return false }
        return text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f && $0.value != 0xfffd }
    }
}
