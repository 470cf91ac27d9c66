/// Most output tokens of one generated image, by model, quality and size.
///
/// Sources: for gpt-image-1 the table of OpenAI's image guide, with which the prices per image of
/// gpt-image-1.5 agree at 32 USD per million tokens; for gpt-image-1-mini the most tokens that its rounded
/// prices per image allow at 8 USD per million; for gpt-image-2 the formula of OpenAI's calculator, as
/// transcribed in community.openai.com/t/1382699 and agreeing with the calculator's 7024, 5488, 5063 and
/// 12,329 tokens. For later models no numbers are published: they are refused, not guessed.
struct ImageTokenBounds {
    /// The extra output tokens of one partial image (image guide).
    static let partialImageTokens: Int64 = 100

    enum Family: Equatable {
        case first, mini, second
        /// As `first`, and it writes text besides.
        case talking

        /// Tokens of text that an image is held for on top. The price list has a price for them of gpt-image-1.5 only
        /// (10 USD per million) and no document a number, so this is a margin: a long description of an image, held for
        /// at the price of image tokens.
        var textTokensMax: Int64 { self == .talking ? 1024 : 0 }

        /// nil: nothing is known of the model.
        init?(model: String) {
            switch model {
            // `chatgpt-image-latest` is whichever model is newest, so nothing is known of it.
            case "gpt-image-1": self = .first
            case "gpt-image-1.5", "gpt-image-1.5-2025-12-16": self = .talking
            case "gpt-image-1-mini": self = .mini
            case "gpt-image-2", "gpt-image-2-2026-04-21": self = .second
            default: return nil
            }
        }

        /// Low, medium, high at 1024x1024, 1024x1536, 1536x1024.
        fileprivate var table: [[Int64]] {
            switch self {
            case .first, .talking: [[272, 408, 400], [1056, 1584, 1568], [4160, 6240, 6208]]
            // 0.005 USD is anything below 0.0055 USD, which is 688 tokens; and so on.
            case .mini: [[688, 813, 813], [1438, 1938, 1938], [4563, 6563, 6563]]
            case .second: []
            }
        }
    }

    enum Quality: Int, CaseIterable {
        case low, medium, high

        init?(apiLiteral: String) {
            switch apiLiteral {
            case "low": self = .low
            case "medium": self = .medium
            case "high": self = .high
            default: return nil
            }
        }

        /// Of the formula of gpt-image-2: patches along the longer edge.
        fileprivate var patches: Int64 {
            switch self {
            case .low: 16
            case .medium: 48
            case .high: 96
            }
        }
    }

    struct Size: Equatable {
        var width: Int64
        var height: Int64

        /// Reads `1024x1536`.
        init?(apiLiteral: String) {
            let parts = apiLiteral.split(separator: "x", omittingEmptySubsequences: false)
            guard parts.count == 2, let width = Self.edge(parts[0]), let height = Self.edge(parts[1]) else {
                return nil
            }
            self.width = width
            self.height = height
        }

        private static func edge(_ text: Substring) -> Int64? {
            guard (1...4).contains(text.utf8.count), text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else {
                return nil
            }
            return Int64(text)
        }
    }

    /// Most output tokens of an image without its partial images; nil: the model does not make this size.
    ///
    /// - Parameters:
    ///   - quality: nil for `auto`: the dearest.
    ///   - size: nil for `auto`: the dearest.
    static func tokens(_ family: Family, _ quality: Quality?, _ size: Size?) -> Int64? {
        let quality = quality ?? .high
        if family == .second { return self.second(quality, size) }
        let row = family.table[quality.rawValue]
        guard let size else { return row.max() }
        switch (size.width, size.height) {
        case (1024, 1024): return row[0]
        case (1024, 1536): return row[1]
        case (1536, 1024): return row[2]
        default: return nil
        }
    }

    /// Tokens grow with the shorter edge and with the area, so the largest square there is bounds `auto`.
    private static func second(_ quality: Quality, _ size: Size?) -> Int64? {
        let areaMax: Int64 = 8_294_400
        let patches = quality.patches
        guard let size else { return self.scaled(patches * patches, area: areaMax) }
        let (long, short) = (max(size.width, size.height), min(size.width, size.height))
        guard long % 16 == 0, short % 16 == 0, long <= 3840, long <= 3 * short,
            (655_360...areaMax).contains(long * short)
        else { return nil }
        let across = (2 * patches * short + long) / (2 * long)
        return self.scaled(patches * across, area: long * short)
    }

    private static func scaled(_ patches: Int64, area: Int64) -> Int64 {
        (patches * (2_000_000 + area) + 3_999_999) / 4_000_000
    }
}
