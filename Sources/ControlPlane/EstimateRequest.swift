import Foundation
import Hummingbird
import Metering

/// `{model,inputTokens,outputTokens?,cachedInputTokens?}`, or `{model,messages,maxOutputTokens?}` whose input
/// is estimated as the data plane would estimate it (`InspectedRequest.inputEstimate`).
struct EstimateRequest: Sendable {
    var model: String
    var usage: Usage
    /// The input is an estimate, not the caller's figure.
    var isEstimated: Bool
    /// The field to blame when the amount is too large.
    var amountField: String

    private static let tokensMax: Int64 = 1_000_000_000_000
    private static let modelBytesMax = 256

    /// What the inspector of chat requests does not read.
    private struct Numbers: Decodable {
        var model: Text?
        var inputTokens: Count?
        var cachedInputTokens: Count?
        var outputTokens: Count?
        var maxOutputTokens: Count?
    }

    /// What stands beside, or in place of, a chat request.
    private static let members = ["inputTokens", "cachedInputTokens", "outputTokens", "maxOutputTokens"]

    /// nil: something else than a whole number that fits. The decoder's own error would not name the field.
    private struct Count: Decodable {
        var value: Int64?

        init(from decoder: any Decoder) throws {
            self.value = try? decoder.singleValueContainer().decode(Int64.self)
        }
    }

    /// nil: not a string.
    private struct Text: Decodable {
        var value: String?

        init(from decoder: any Decoder) throws {
            self.value = try? decoder.singleValueContainer().decode(String.self)
        }
    }

    /// - Throws: `APIError` that names the field.
    init(parsing body: ByteBuffer, _ encodings: EncodingTables = EncodingTables()) throws {
        // A complete chat request, or nil when it only lacks messages.
        let chat: InspectedRequest?
        let inspected = body.withUnsafeReadableBytes {
            RequestInspector.inspect($0, as: .chat, alsoKnown: Self.members)
        }
        switch inspected {
        case .success(let request): chat = request
        case .failure(let rejection) where rejection == Self.withoutMessages: chat = nil
        case .failure(let rejection): throw Self.refusal(rejection)
        }
        let numbers = try Self.numbers(body)
        if let chat {
            let counted = body.withUnsafeReadableBytes { CountedInput(chat, of: $0, encodings) }
            try self.init(chat, counted, numbers)
        } else {
            try self.init(numbers)
        }
    }

    private init(_ chat: InspectedRequest, _ counted: CountedInput, _ numbers: Numbers) throws {
        for (number, name) in [
            (numbers.inputTokens, "inputTokens"), (numbers.outputTokens, "outputTokens"),
            (numbers.cachedInputTokens, "cachedInputTokens"),
        ] where number != nil {
            throw APIError.badRequest(name, "Give either 'messages' or '\(name)', not both.")
        }
        guard !chat.unboundedInput else {
            throw APIError.badRequest(
                "messages", "Images and files cannot be estimated from their bytes; give 'inputTokens'.")
        }
        let cap = try Self.count(numbers.maxOutputTokens, "maxOutputTokens")
        let own = try chat.outputCap.map { try Self.bounded($0, "max_completion_tokens") }
        self.model = chat.model
        self.usage = Usage(
            input: chat.inputEstimate(counted), output: (cap ?? own ?? 0) * chat.choices)
        self.isEstimated = true
        self.amountField = "maxOutputTokens"
    }

    private init(_ numbers: Numbers) throws {
        guard let model = numbers.model?.value, !model.isEmpty, model.utf8.count <= Self.modelBytesMax else {
            throw APIError.badRequest(
                "model", "'model' must be a string of 1 to \(Self.modelBytesMax) bytes.")
        }
        guard let input = try Self.count(numbers.inputTokens, "inputTokens") else {
            throw APIError.badRequest("inputTokens", "'inputTokens' or 'messages' is required.")
        }
        // Embeddings have no output, so none given is none.
        let output = try Self.count(numbers.outputTokens, "outputTokens") ?? 0
        let cached = try Self.count(numbers.cachedInputTokens, "cachedInputTokens") ?? 0
        guard cached <= input else {
            throw APIError.badRequest(
                "cachedInputTokens", "'cachedInputTokens' must not exceed 'inputTokens'.")
        }
        self.model = model
        self.usage = Usage(input: input - cached, cachedInput: cached, output: output)
        self.isEstimated = false
        self.amountField = "inputTokens"
    }

    // MARK: Reading

    /// What the inspector says of a document that is sound but has no messages.
    private static let withoutMessages: RequestRejection? = {
        let sound: StaticString = #"{"model":"m"}"#
        let bytes = UnsafeRawBufferPointer(start: sound.utf8Start, count: sound.utf8CodeUnitCount)
        guard case .failure(let rejection) = RequestInspector.inspect(bytes, as: .chat) else { return nil }
        return rejection
    }()

    private static func refusal(_ rejection: RequestRejection) -> APIError {
        APIError(
            status: .badRequest, message: rejection.message,
            code: rejection.code == .invalidJSON ? "invalid_json" : "invalid_request",
            param: rejection.param)
    }

    private static func numbers(_ body: ByteBuffer) throws -> Numbers {
        do {
            return try JSONDecoder().decode(Numbers.self, from: Data(body.readableBytesView))
        } catch {
            throw APIError(status: .badRequest, message: "The body is not valid JSON.", code: "invalid_json")
        }
    }

    /// nil: absent or null.
    private static func count(_ count: Count?, _ name: String) throws -> Int64? {
        try count.map { try Self.bounded($0.value, name) }
    }

    private static func bounded(_ value: Int64?, _ name: String) throws -> Int64 {
        guard let value, (0...Self.tokensMax).contains(value) else {
            throw APIError.badRequest(name, "'\(name)' must be a whole number from 0 to \(Self.tokensMax).")
        }
        return value
    }
}
