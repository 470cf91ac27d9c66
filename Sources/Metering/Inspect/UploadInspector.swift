/// One pass over a form with a file, as `RequestInspector` is one over a JSON document.
public enum UploadInspector {
    /// Reads the whole form and measures its audio. `body` is not kept.
    ///
    /// - Parameter contentType: the value of `Content-Type`; nil: there is none, or more than one.
    public static func inspect(
        _ body: UnsafeRawBufferPointer, contentType: UnsafeRawBufferPointer?, as endpoint: InspectedEndpoint
    ) -> Result<InspectedRequest, RequestRejection> {
        precondition(endpoint.takesForm, "the caller has RequestInspector for all others")
        guard let contentType, let boundary = MultipartBoundary(contentType: contentType) else {
            return .failure(
                .invalid(
                    "content-type", "'content-type' must be multipart/form-data with one plain boundary."))
        }
        var reader = MultipartReader(boundary)
        var form = TranscriptionForm(endpoint)
        do throws(MultipartReader.Ending<RequestRejection>) {
            try reader.feed(body, &form)
        } catch {
            switch error {
            case .rejected(let rejection): return .failure(rejection)
            case .fault(let fault): return .failure(.unreadable(fault))
            }
        }
        do throws(MultipartFault) { try reader.finish() } catch { return .failure(.unreadable(error)) }
        do throws(RequestRejection) { return .success(try form.finish()) } catch { return .failure(error) }
    }
}

extension RequestRejection {
    fileprivate static func unreadable(_ fault: MultipartFault) -> RequestRejection {
        RequestRejection(
            code: .invalidRequest, param: nil,
            message: "The body is not a multipart form that can be metered: \(fault.explanation).")
    }
}
