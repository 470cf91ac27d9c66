/// Text that others chose, made fit for one line of a table.
enum PrintableText {
    /// What is longer is cut here already; the page ellipsizes far earlier.
    static let scalarsMax = 400

    /// Control characters, line ends and marks that turn the direction of writing become blanks: a name must
    /// not move the figures next to it.
    static func clean(_ text: String) -> String {
        var clean = ""
        for scalar in text.unicodeScalars.prefix(Self.scalarsMax) {
            clean.unicodeScalars.append(Self.isHarmless(scalar) ? scalar : " ")
        }
        return text.unicodeScalars.count > Self.scalarsMax ? clean + "…" : clean
    }

    private static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0...0x1f, 0x7f...0x9f, 0x61c, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069, 0xfeff,
            0xfffe, 0xffff:
            false
        default: true
        }
    }
}
