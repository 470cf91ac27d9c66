import HTTPTypes
import Hummingbird
import NIOCore

/// The fields of a form that a browser posted.
struct PageForm: Sendable {
    /// As they were posted.
    let fields: [String: String]

    /// - Throws: `APIError` when it is no form.
    init(_ request: Request, bytesMax: Int = 32 << 10) async throws {
        let type = request.headers[.contentType]?.split(separator: ";").first?.lowercased()
        guard type?.trimmingSuffixBlanks == "application/x-www-form-urlencoded" else {
            throw APIError(
                status: .unsupportedMediaType, message: "This takes a form.", code: "not_a_form")
        }
        let body: ByteBuffer
        do { body = try await request.body.collect(upTo: bytesMax) } catch is NIOTooManyBytesError {
            throw APIError.bodyTooLarge(limit: bytesMax)
        }
        do {
            self.fields = try URLEncodedFormDecoder().decode(
                [String: String].self, from: String(buffer: body))
        } catch {
            throw APIError.badRequest("body", "The form cannot be read.")
        }
    }

    /// Without blanks at its ends; nil: absent or empty.
    subscript(name: String) -> String? {
        guard let value = self.fields[name]?.trimmed, !value.isEmpty else { return nil }
        return value
    }
}

extension StringProtocol {
    /// Without blanks at its ends.
    var trimmed: String {
        var text = self[...]
        while let first = text.unicodeScalars.first, first == " " || first == "\t" { text = text.dropFirst() }
        return text.trimmingSuffixBlanks
    }

    fileprivate var trimmingSuffixBlanks: String {
        var text = self[...]
        while let last = text.unicodeScalars.last, last == " " || last == "\t" { text = text.dropLast() }
        return String(text)
    }
}
