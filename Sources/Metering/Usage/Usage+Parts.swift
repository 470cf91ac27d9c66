// Most exchanges have five parts only; what else there may be travels under its name, when it is not 0.
extension Usage {
    /// Parts that most exchanges do not have, in the order in which they are written. The names are those of
    /// `usage_events.usage_parts` and never change.
    static let rareParts: [(name: String, path: any (WritableKeyPath<Usage, Int64> & Sendable))] = [
        ("cache_write_12h_tokens", \.cacheWriteLong),
        ("audio_input_tokens", \.audio.input),
        ("audio_cached_input_tokens", \.audio.cachedInput),
        ("audio_output_tokens", \.audio.output),
        ("image_input_tokens", \.image.input),
        ("image_cached_input_tokens", \.image.cachedInput),
        ("image_output_tokens", \.image.output),
        ("web_search_calls", \.tools[.webSearch]),
        ("web_search_preview_calls", \.tools[.webSearchPreview]),
        ("file_search_calls", \.tools[.fileSearch]),
        ("input_milliseconds", \.inputMilliseconds),
        ("characters", \.characters),
    ]

    /// `name=count` for each that is not 0, joined by commas; nil: there is none.
    var encodedRareParts: String? {
        guard self.hasRareParts else { return nil }
        return Self.rareParts.compactMap { name, path in
            self[keyPath: path] == 0 ? nil : "\(name)=\(self[keyPath: path])"
        }.joined(separator: ",")
    }

    /// The same as a JSON object, for the ledger; nil: there is none.
    public var rarePartsJSON: String? {
        guard self.hasRareParts else { return nil }
        let members = Self.rareParts.compactMap { name, path in
            self[keyPath: path] == 0 ? nil : "\"\(name)\":\(self[keyPath: path])"
        }
        return "{" + members.joined(separator: ",") + "}"
    }

    /// Reads what `encodedRareParts` wrote: each name at most once, in its order, no zeros; else false.
    mutating func decodeRareParts(_ text: String) -> Bool {
        var known = Self.rareParts[...]
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false)
            guard sides.count == 2, let index = known.firstIndex(where: { $0.name == sides[0] }),
                let count = Int64(sides[1]), count > 0, String(count) == sides[1]
            else { return false }
            self[keyPath: known[index].path] = count
            known = known[(index + 1)...]
        }
        return true
    }
}
