/// Tokens of a text whose true count nobody has reported, and that nobody counts.
public enum TokenEstimate {
    /// Five bytes to the token, rounded up (DESIGN §4). Only ever an estimate: bounds of holds are made of counted
    /// tokens and of bytes, never of this.
    public static func tokens(textBytes: Int) -> Int64 { Int64((textBytes + 4) / 5) }
}
