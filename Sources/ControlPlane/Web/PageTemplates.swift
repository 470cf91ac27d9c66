import Mustache

/// All templates of this program, read once.
enum PageTemplates {
    static let library: MustacheLibrary = {
        MustacheContentTypes.register(EscapedHTML(), named: EscapedHTML.name)
        var library = MustacheLibrary()
        for (name, text) in Self.sources {
            do {
                try library.register("{{% CONTENT_TYPE:\(EscapedHTML.name)}}" + text, named: name)
            } catch {
                preconditionFailure("the template '\(name)' does not parse: \(error)")
            }
        }
        return library
    }()

    /// Its name is that of the file.
    static let sources: [String: String] = [
        "layout": PackageResources.layout_mustache,
        "message": PackageResources.message_mustache,
        "open": PackageResources.open_mustache,
        "credits": PackageResources.credits_mustache,
        "usage": PackageResources.usage_mustache,
        "ledger": PackageResources.ledger_mustache,
        "purchases": PackageResources.purchases_mustache,
        "statements": PackageResources.statements_mustache,
        "estimate": PackageResources.estimate_mustache,
        "settings": PackageResources.settings_mustache,
        "pager": PackageResources.pager_mustache,
        "console": PackageResources.console_mustache,
        "console-cell": PackageResources.console_cell_mustache,
    ].mapValues { String(decoding: $0, as: UTF8.self) }

    static func render(_ model: Any, with name: String) -> String {
        guard let text = self.library.render(model, withTemplate: name) else {
            preconditionFailure("there is no template '\(name)'")
        }
        return text
    }
}

/// Escapes by bytes, and so by what browsers read: none of the five is part of another character. The library's own goes
/// by characters as people see them: a quotation mark with an accent on it is another one to it, and would end an attribute.
struct EscapedHTML: MustacheContentType {
    static let name = "ESCAPED"

    /// In time that grows with the text: a rate card of a megabyte may be all quotation marks.
    func escapeText(_ text: String) -> String {
        var escaped: [UInt8] = []
        escaped.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "<"): escaped += "&lt;".utf8
            case UInt8(ascii: ">"): escaped += "&gt;".utf8
            case UInt8(ascii: "&"): escaped += "&amp;".utf8
            case UInt8(ascii: "\""): escaped += "&quot;".utf8
            case UInt8(ascii: "'"): escaped += "&#39;".utf8
            default: escaped.append(byte)
            }
        }
        return String(decoding: escaped, as: UTF8.self)
    }
}
