/// What a parameter may look like; everything else is refused, as Stripe does.
indirect enum ParameterShape: Sendable {
    case text
    case integer
    case flag
    case oneOf([String])
    /// Any names, text values.
    case map
    case list(ParameterShape)
    case fields([String: ParameterShape])
    /// A value of `map`, which may be empty.
    case mapValue
    /// Seconds since 1970, or `gt`, `gte`, `lt`, `lte` of them.
    case range

    /// Throws what Stripe answers when `value` at `path` (`a[b][0]`) is not of this shape.
    func check(_ value: FormValue, _ path: String) throws(StripeFailure) {
        switch (self, value) {
        case (.fields(let known), .fields(let fields)):
            for field in fields {
                let inner = path.isEmpty ? field.name : "\(path)[\(field.name)]"
                guard let shape = known[field.name] else { throw .unknown(inner) }
                try shape.check(field.value, inner)
            }
        case (.list(let shape), .fields(let fields)):
            for field in fields { try shape.check(field.value, "\(path)[\(field.name)]") }
        case (.map, .fields(let fields)):
            for field in fields { try Self.mapValue.check(field.value, "\(path)[\(field.name)]") }
        case (.range, .fields(let fields)):
            for field in fields {
                let inner = "\(path)[\(field.name)]"
                guard ["gt", "gte", "lt", "lte"].contains(field.name) else { throw .unknown(inner) }
                try Self.integer.check(field.value, inner)
            }
        case (.map, .text("")): return  // Unsets the metadata.
        case (.mapValue, .text): return
        case (_, .text("")):
            throw .invalid(
                "You passed an empty string for '\(path)'. We assume empty values are an attempt to unset a "
                    + "parameter; however '\(path)' cannot be unset.", path, code: "parameter_invalid_empty")
        case (.text, .text): return
        case (.integer, .text(let text)), (.range, .text(let text)):
            guard Int(text) != nil else {
                throw .invalid("Invalid integer: \(text)", path, code: "parameter_invalid_integer")
            }
        case (.flag, .text(let text)):
            guard text == "true" || text == "false" else {
                throw .invalid("Invalid boolean: \(text)", path)
            }
        case (.oneOf(let words), .text(let text)):
            guard words.contains(text) else {
                throw .invalid(
                    "Invalid \(path): must be one of \(words.joined(separator: ", "))", path,
                    code: "parameter_invalid_option")
            }
        case (.list, .text): throw .invalid("Invalid array", path)
        case (.map, .text), (.fields, .text): throw .invalid("Invalid object", path)
        default: throw .invalid("Invalid string: {...}", path)
        }
    }
}
