/// One pass over the body of a request (DESIGN §3.3). What cannot be metered is refused, never guessed.
public enum RequestInspector {
    /// Validates the whole document (RFC 8259, UTF-8, no duplicate keys, at most 512 deep) and reads what
    /// metering needs of it. `body` is not kept.
    ///
    /// - Parameter alsoKnown: members at the top that the caller reads himself; all others that are not known are
    ///   refused.
    public static func inspect(
        _ body: UnsafeRawBufferPointer, as endpoint: InspectedEndpoint, alsoKnown: [String] = []
    ) -> Result<InspectedRequest, RequestRejection> {
        var walker = JSONWalker(body)
        var visitor = RequestVisitor(body, endpoint, alsoKnown: alsoKnown)
        do throws(JSONWalker.Ending<RequestRejection>) {
            try walker.walk(&visitor)
        } catch {
            switch error {
            case .rejected(let rejection): return .failure(rejection)
            case .fault(let fault): return .failure(visitor.rejection(for: fault))
            }
        }
        do throws(RequestRejection) {
            return .success(try visitor.finish())
        } catch {
            return .failure(error)
        }
    }
}
