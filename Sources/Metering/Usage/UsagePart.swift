/// A part of usage that most exchanges do not have, under its name in `usage_events.usage_parts`.
public struct UsagePart: Sendable, Hashable {
    public var name: String
    public var count: Int64

    public init(_ name: String, _ count: Int64) {
        self.name = name
        self.count = count
    }

    /// This release knows what it counts.
    public var isKnown: Bool { Usage.rareParts.contains { $0.name == self.name } }

    /// Reads a flat JSON object of whole numbers, as PostgreSQL prints `usage_parts`; nil: it is something else.
    public static func parse(json text: String) -> [UsagePart]? {
        guard text.first == "{", text.last == "}", text.utf8.count > 2 else { return nil }
        var parts: [UsagePart] = []
        for member in text.dropFirst().dropLast().split(separator: ",", omittingEmptySubsequences: false) {
            let sides = member.split(separator: ":", omittingEmptySubsequences: false)
            guard sides.count == 2 else { return nil }
            let name = Self.trimmed(sides[0])
            guard name.count > 2, name.first == "\"", name.last == "\"",
                let count = Int64(Self.trimmed(sides[1]))
            else { return nil }
            parts.append(UsagePart(String(name.dropFirst().dropLast()), count))
        }
        return parts
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " }
        while text.last == " " { text.removeLast() }
        return text
    }
}

extension Usage {
    /// The parts that most exchanges do not have, in the order of their names' list; empty: there is none.
    public var parts: [UsagePart] {
        guard self.hasRareParts else { return [] }
        return Self.rareParts.compactMap { name, path in
            self[keyPath: path] == 0 ? nil : UsagePart(name, self[keyPath: path])
        }
    }

    /// The usage of a row of the ledger, which has totals as the API reports them. nil: the parts do not fit into the
    /// totals, or one of them has a name that this release does not know.
    public init?(
        inputTotal: Int64, cachedInput: Int64, cacheWrite: Int64, outputTotal: Int64, reasoning: Int64,
        parts: [UsagePart]
    ) {
        var usage = Usage(
            input: 0, cachedInput: cachedInput, cacheWrite: cacheWrite, output: 0, reasoning: reasoning)
        for part in parts {
            guard let known = Self.rareParts.first(where: { $0.name == part.name }), part.count > 0,
                usage[keyPath: known.path] == 0
            else { return nil }
            usage[keyPath: known.path] = part.count
        }
        let ofInput = [
            cachedInput, cacheWrite, usage.cacheWriteLong, usage.audio.input, usage.audio.cachedInput,
            usage.image.input, usage.image.cachedInput,
        ]
        let ofOutput = [reasoning, usage.audio.output, usage.image.output]
        guard let input = Self.rest(of: inputTotal, without: ofInput),
            let output = Self.rest(of: outputTotal, without: ofOutput)
        else { return nil }
        (usage.input, usage.output) = (input, output)
        self = usage
    }

    private static func rest(of total: Int64, without parts: [Int64]) -> Int64? {
        var rest = total
        for part in parts {
            // Neither is negative where this subtracts, so it cannot overflow.
            guard part >= 0, rest >= part else { return nil }
            rest -= part
        }
        return rest
    }
}
