/// What `Content-Disposition` says of a part.
struct MultipartPart: Sendable, Equatable {
    var name: String
    /// It has a file name: its content is a file.
    var isFile: Bool
}

extension MultipartPart {
    /// Reads the header lines of a part.
    ///
    /// - Parameter lines: each with its line's end.
    static func read(_ lines: ArraySlice<UInt8>) throws(MultipartFault) -> MultipartPart {
        var part: MultipartPart?
        var rest = lines
        while let end = rest.firstIndex(of: 0x0a) {
            let line = rest[..<end].dropLast()
            guard rest[..<end].last == 0x0d, !line.contains(0x0d), !line.contains(0) else {
                throw .badPartHeader
            }
            rest = rest[(end + 1)...]
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
                line[..<colon].allSatisfy(HeaderParameters.isToken)
            else { throw .badPartHeader }
            let value = Array(line[(colon + 1)...])
            switch String(decoding: line[..<colon], as: UTF8.self).lowercased() {
            case "content-disposition":
                guard part == nil else { throw .badPartHeader }
                part = try self.disposition(value)
            case "content-transfer-encoding":
                try self.checkEncoding(value)
            default:
                break
            }
        }
        guard let part else { throw .badPartHeader }
        return part
    }

    private static func disposition(_ value: [UInt8]) throws(MultipartFault) -> MultipartPart {
        let part: MultipartPart? = value.withUnsafeBytes { bytes in
            var fields = HeaderParameters(bytes)
            guard fields.value.elementsEqual("form-data".utf8) else { return nil }
            var seen: Set<[UInt8]> = []
            var part = MultipartPart(name: "", isFile: false)
            while let parameter = fields.next() {
                guard case .pair(let name, let value) = parameter, seen.insert(name).inserted else {
                    return nil
                }
                switch String(decoding: name, as: UTF8.self) {
                case "name":
                    guard let text = String(validating: value, as: UTF8.self), !text.isEmpty else {
                        return nil
                    }
                    part.name = text
                case "filename", "filename*":
                    part.isFile = true
                default:
                    // `name*` would be another name to some.
                    return nil
                }
            }
            return part.name.isEmpty ? nil : part
        }
        guard let part else { throw .badPartHeader }
        return part
    }

    private static func checkEncoding(_ value: [UInt8]) throws(MultipartFault) {
        let name = value.withUnsafeBytes { HeaderParameters($0).value }
        guard ["7bit", "8bit", "binary"].contains(where: { name.elementsEqual($0.utf8) }) else {
            throw .encodedPart
        }
    }
}
