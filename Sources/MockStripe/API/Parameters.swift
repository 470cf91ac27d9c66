/// Parameters whose shape has been checked, read by name.
struct Parameters: Equatable, Sendable {
    let value: FormValue
    /// Where they are nested, for error texts; empty at the top.
    var path = ""

    func text(_ name: String) -> String? {
        guard case .text(let text) = self.value[name] else { return nil }
        return text
    }

    func requiredText(_ name: String) throws(StripeFailure) -> String {
        guard let text = self.text(name) else { throw .missing(self.inner(name)) }
        return text
    }

    func integer(_ name: String) -> Int? { self.text(name).flatMap { Int($0) } }

    func requiredInteger(_ name: String) throws(StripeFailure) -> Int {
        guard let number = self.integer(name) else { throw .missing(self.inner(name)) }
        return number
    }

    func flag(_ name: String) -> Bool? { self.text(name).map { $0 == "true" } }

    func group(_ name: String) -> Parameters? {
        guard let value = self.value[name] else { return nil }
        return Parameters(value: value, path: self.inner(name))
    }

    func groups(_ name: String) -> [Parameters] {
        (self.value[name]?.fields ?? []).map {
            Parameters(value: $0.value, path: self.inner(name) + "[\($0.name)]")
        }
    }

    func texts(_ name: String) -> [String] {
        (self.value[name]?.fields ?? []).compactMap {
            guard case .text(let text) = $0.value else { return nil }
            return text
        }
    }

    /// Nil when not named. Stripe's limits: 50 names of 40 characters, values of 500.
    func metadata(_ name: String = "metadata") throws(StripeFailure) -> [String: String]? {
        guard let value = self.value[name] else { return nil }
        var metadata: [String: String] = [:]
        for field in value.fields {
            guard case .text(let text) = field.value else { continue }
            guard field.name.count <= 40, text.count <= 500 else {
                throw .invalid(
                    "Metadata keys can have up to 40 characters and values up to 500.",
                    self.inner(name) + "[\(field.name)]")
            }
            if !text.isEmpty { metadata[field.name] = text }
        }
        guard metadata.count <= 50 else {
            throw .invalid("Metadata can have up to 50 keys.", self.inner(name))
        }
        return metadata
    }

    /// Whether a time lies in the range of that name; without one, every time does.
    func range(_ name: String, contains seconds: Int) -> Bool {
        guard let value = self.value[name] else { return true }
        if case .text(let text) = value { return Int(text) == seconds }
        return value.fields.allSatisfy { field in
            guard case .text(let text) = field.value, let bound = Int(text) else { return true }
            switch field.name {
            case "gt": return seconds > bound
            case "gte": return seconds >= bound
            case "lt": return seconds < bound
            default: return seconds <= bound
            }
        }
    }

    private func inner(_ name: String) -> String { self.path.isEmpty ? name : "\(self.path)[\(name)]" }
}
