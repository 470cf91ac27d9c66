/// Tokens of a text whose true count nobody has reported.
public enum TokenEstimate {
    /// Five bytes to the token, rounded up; until the tokenizer counts (DESIGN §4). Only ever an estimate: bounds
    /// of holds are made from bytes, never from this.
    public static func tokens(textBytes: Int) -> Int64 { Int64((textBytes + 4) / 5) }
}
