import Testing

@testable import Metering

/// What the tests of the inspector share.
enum Inspection {
    static func inspect(
        _ text: String, as endpoint: InspectedEndpoint
    ) -> Result<InspectedRequest, RequestRejection> {
        Array(text.utf8).withUnsafeBytes { RequestInspector.inspect($0, as: endpoint) }
    }

    /// The rejection of a body that must not pass.
    static func rejection(
        of text: String, as endpoint: InspectedEndpoint, sourceLocation: SourceLocation = #_sourceLocation
    ) -> RequestRejection? {
        guard case .failure(let rejection) = self.inspect(text, as: endpoint) else {
            Issue.record("accepted: \(text)", sourceLocation: sourceLocation)
            return nil
        }
        return rejection
    }

    /// Refused as a request, with the field in `param` and in the message.
    static func expectRefusal(
        _ text: String, as endpoint: InspectedEndpoint, naming field: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        guard let rejection = self.rejection(of: text, as: endpoint, sourceLocation: sourceLocation) else {
            return
        }
        #expect(
            rejection.code == .invalidRequest && rejection.param == field
                && rejection.message.contains(field),
            "\(text): \(rejection)", sourceLocation: sourceLocation)
    }

    static func applied(_ edits: [BodyEdit], to text: String) -> String {
        var bytes: [UInt8] = []
        var at = 0
        let body = Array(text.utf8)
        for edit in edits {
            #expect(edit.range.lowerBound >= at, "edits are sorted and do not overlap")
            bytes += body[at..<edit.range.lowerBound] + edit.replacement
            at = edit.range.upperBound
        }
        return String(decoding: bytes + body[at...], as: UTF8.self)
    }
}
