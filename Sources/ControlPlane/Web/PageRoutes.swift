import HTTPTypes
import Hummingbird

/// What pages share: their files, and errors that people can read.
struct PageRoutes: Sendable {
    let site: WebSite

    func add(to table: inout RouteTable) {
        table.get("/assets/:file", access: .page) { _, context in
            guard let name = context.parameters.get("file"), let file = self.site.assets[file: name] else {
                throw APIError.notFound
            }
            return Response(
                status: .ok,
                headers: [
                    .contentType: file.contentType, .cacheControl: "public, max-age=31536000, immutable",
                ], body: ResponseBody(byteBuffer: ByteBuffer(bytes: file.contents)))
        }
    }

    /// A handler whose errors are pages.
    static func page(
        on site: WebSite, _ handler: @escaping RouteTable.Handler
    ) -> RouteTable.Handler {
        { request, context in
            do {
                return try await handler(request, context)
            } catch let error as APIError {
                context.cause.note(error)
                var response = Page.message(Self.title(error), error.message, on: site)
                    .response(site, error.status)
                response.headers.append(contentsOf: error.headers)
                return response
            }
        }
    }

    static func title(_ error: APIError) -> String {
        switch error.status {
        case .unauthorized: "Please sign in"
        case .forbidden: "This is not allowed"
        case .notFound: "There is nothing here"
        case .serviceUnavailable: "Not available right now"
        default: "This did not work"
        }
    }
}
