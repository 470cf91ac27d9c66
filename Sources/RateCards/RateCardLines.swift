import Yams

/// Where the fields of a card stand in its file.
struct RateCardLines {
    /// By path, such as `models.gpt-4o.cost.input`; counted from 1.
    private var lines: [String: Int] = [:]

    /// - Parameter text: a card that was read, so that it is YAML and not deeper than cards are.
    init(of text: String) {
        guard let root = try? Yams.compose(yaml: text) else { return }
        self.add(root, below: "")
    }

    private mutating func add(_ node: Node, below path: String) {
        guard let mapping = node.mapping else { return }
        for (key, value) in mapping {
            guard let name = key.scalar?.string else { continue }
            let own = path.isEmpty ? name : "\(path).\(name)"
            self.lines[own] = key.mark?.line
            self.add(value, below: own)
        }
    }

    /// Of the field, or of what it would stand in. nil: it is of no one place.
    func line(of path: String) -> Int? {
        var rest = path[...]
        while let dot = rest.lastIndex(of: ".") {
            if let line = Self.spellings(rest, dot).lazy.compactMap({ self.lines[$0] }).first { return line }
            // No field begins with a digit: it is the rest of a model's name, as in `gpt-4.1`, which is not here.
            if rest[rest.index(after: dot)...].first?.isNumber == true { return nil }
            rest = rest[..<dot]
        }
        // All models and all tools are no place.
        return rest.endIndex == path.endIndex ? self.lines[path] : nil
    }

    /// A problem names a rate as people do, `tiers.batch.input`; the file has it below `price` or `cost`.
    private static func spellings(_ path: Substring, _ dot: String.Index) -> [String] {
        [String(path)] + ["price", "cost"].map { "\(path[..<dot]).\($0)\(path[dot...])" }
    }
}

extension RateCardDiff {
    /// Says of each problem where it stands in the file, as far as it is at one place.
    ///
    /// - Parameter text: what the new card was read from.
    public mutating func locateProblems(in text: String) {
        guard self.problems.contains(where: { $0.line == nil }) else { return }
        let lines = RateCardLines(of: text)
        self.setLines { $0.line ?? lines.line(of: $0.path) }
    }
}
