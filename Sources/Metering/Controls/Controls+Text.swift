extension Controls {
    /// The longest value of a control, in bytes.
    public static let textBytesMax = 65_536

    /// Takes a value as it is written in the environment and by operators.
    ///
    /// - Throws: what is wrong with it, by the name of the control; then nothing has changed.
    public mutating func set(_ name: ControlName, to text: String) throws(ControlProblem) {
        guard text.utf8.count <= Self.textBytesMax else {
            throw ControlProblem(name.rawValue, "must not be longer than \(Self.textBytesMax) bytes")
        }
        switch name {
        case .charging: self.charging = try Self.flag(name, text)
        case .purchases: self.purchases = try Self.flag(name, text)
        case .autoRecharge: self.autoRecharge = try Self.flag(name, text)
        case .rolloutPercentage: self.rolloutPercentage = try Self.integer(name, text, in: 0...100)
        case .anomalyMultiplier: self.anomalyMultiplier = try Self.integer(name, text, in: 1...1_000)
        case .allowlist: self.allowlist = try Self.users(name, text)
        case .modelAllowlist: self.modelAllowlist = try Self.models(name, text)
        }
    }

    /// The value in the one spelling that `set` reads back as the same.
    public func text(_ name: ControlName) -> String {
        switch name {
        case .charging: String(self.charging)
        case .purchases: String(self.purchases)
        case .autoRecharge: String(self.autoRecharge)
        case .rolloutPercentage: String(self.rolloutPercentage)
        case .anomalyMultiplier: String(self.anomalyMultiplier)
        case .allowlist:
            self.allowlist.map { String(decoding: $0, as: UTF8.self) }.sorted().joined(separator: ",")
        case .modelAllowlist: self.modelAllowlist.map { $0.sorted().joined(separator: ",") } ?? "all"
        }
    }

    /// A text in that spelling.
    public static func canonical(_ name: ControlName, _ text: String) throws(ControlProblem) -> String {
        var controls = Controls()
        try controls.set(name, to: text)
        return controls.text(name)
    }

    /// These controls with what was set at run time. A value that this release cannot read, or a name that it does not
    /// know, was written by a newer one: it is left out and told, and what the environment says stays in force.
    public func overridden(by values: [(name: String, value: String)]) -> (
        Controls, ignored: [ControlProblem]
    ) {
        var controls = self
        var ignored: [ControlProblem] = []
        for (name, value) in values {
            guard let known = ControlName(rawValue: name) else {
                ignored.append(ControlProblem(name, "is not known to this version"))
                continue
            }
            do throws(ControlProblem) {
                try controls.set(known, to: value)
            } catch {
                ignored.append(error)
            }
        }
        return (controls, ignored)
    }

    private static func flag(_ name: ControlName, _ text: String) throws(ControlProblem) -> Bool {
        switch text.lowercased() {
        case "true", "1", "yes", "on": return true
        case "false", "0", "no", "off": return false
        default: throw ControlProblem(name.rawValue, "must be true or false")
        }
    }

    private static func integer(
        _ name: ControlName, _ text: String, in range: ClosedRange<Int64>
    ) throws(ControlProblem) -> Int64 {
        guard let value = Int64(text), range.contains(value) else {
            throw ControlProblem(
                name.rawValue, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func users(_ name: ControlName, _ text: String) throws(ControlProblem) -> Set<[UInt8]> {
        var users: Set<[UInt8]> = []
        for part in Self.parts(text) {
            guard UserID.isValid(part) else {
                throw ControlProblem(
                    name.rawValue, "must be user ids of 1 to 256 bytes without control characters, by commas")
            }
            users.insert(Array(part.utf8))
        }
        return users
    }

    private static func models(_ name: ControlName, _ text: String) throws(ControlProblem) -> Set<String>? {
        let models = Set(Self.parts(text))
        if models == ["all"] { return nil }
        let isEachAName = models.allSatisfy { model in
            (1...256).contains(model.utf8.count) && model.utf8.allSatisfy { (0x21...0x7e).contains($0) }
        }
        guard !models.isEmpty, isEachAName, !models.contains("all") else {
            throw ControlProblem(name.rawValue, "must be names of models, by commas, or the word all")
        }
        return models
    }

    /// What stands between the commas, without blanks around it; nothing between two commas is nothing.
    private static func parts(_ text: String) -> [String] {
        text.split(separator: ",").map { part in
            var part = part
            while part.first == " " || part.first == "\t" { part = part.dropFirst() }
            while part.last == " " || part.last == "\t" { part = part.dropLast() }
            return String(part)
        }.filter { !$0.isEmpty }
    }
}
