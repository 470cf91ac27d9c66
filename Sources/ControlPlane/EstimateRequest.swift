import Foundation
import Hummingbird
import Metering

/// `{model,inputTokens,outputTokens,cachedInputTokens?}`, or `{model,messages,maxOutputTokens?}` whose tokens
/// are
/// estimated at five bytes each.
struct EstimateRequest: Sendable {
    var model: String
    var usage: Usage
    var isEstimated: Bool

    private struct Body: Decodable {
        var model: String?
        var inputTokens: Int64?
        var cachedInputTokens: Int64?
        var outputTokens: Int64?
        var maxOutputTokens: Int64?
        var messages: [Message]?
    }

    private struct Message: Decodable {
        var content: Content?

        enum Content: Decodable {
            case text(String)
            case parts([Part])

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if let text = try? container.decode(String.self) {
                    self = .text(text)
                } else {
                    self = .parts(try container.decode([Part].self))
                }
            }
        }

        struct Part: Decodable { var text: String? }

        var bytes: Int {
            switch self.content {
            case .text(let text): text.utf8.count
            case .parts(let parts): parts.reduce(0) { $0 + ($1.text?.utf8.count ?? 0) }
            case nil: 0
            }
        }
    }

    /// - Throws: `APIError` that names the field.
    init(parsing body: ByteBuffer) throws {
        let read: Body
        do {
            read = try JSONDecoder().decode(Body.self, from: Data(body.readableBytesView))
        } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context) {
            let name = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(
                separator: ".")
            throw APIError.badRequest(name, "'\(name)' has the wrong type.")
        } catch {
            throw APIError(status: .badRequest, message: "The body is not valid JSON.", code: "invalid_json")
        }
        guard let model = read.model, !model.isEmpty else {
            throw APIError.badRequest("model", "'model' is required.")
        }
        self.model = model
        if let messages = read.messages {
            let bytes = messages.reduce(0) { $0 + $1.bytes }
            let output = try Self.count(read.maxOutputTokens ?? 0, "maxOutputTokens")
            self.usage = Usage(input: Int64((bytes + 4) / 5), output: output)
            self.isEstimated = true
            return
        }
        guard let inputTokens = read.inputTokens else {
            throw APIError.badRequest("inputTokens", "'inputTokens' or 'messages' is required.")
        }
        let input = try Self.count(inputTokens, "inputTokens")
        let cached = try Self.count(read.cachedInputTokens ?? 0, "cachedInputTokens")
        guard cached <= input else {
            throw APIError.badRequest(
                "cachedInputTokens", "'cachedInputTokens' must not exceed 'inputTokens'.")
        }
        self.usage = Usage(
            input: input - cached, cachedInput: cached,
            output: try Self.count(read.outputTokens ?? 0, "outputTokens"))
        self.isEstimated = false
    }

    private static func count(_ value: Int64, _ name: String) throws -> Int64 {
        guard (0...1_000_000_000_000).contains(value) else {
            throw APIError.badRequest(name, "'\(name)' must be a whole number from 0 to 1000000000000.")
        }
        return value
    }
}
