import HTTPTypes

/// What a route does, for the OpenAPI document; declared beside its handler.
struct Operation: Sendable {
    /// What was asked in the URL or in a field.
    struct Parameter: Sendable {
        enum Place: String { case query, path, header }

        var name: String
        var place: Place
        var schema: Schema
        var text: String
        var isRequired = false

        static func query(_ name: String, _ schema: Schema, _ text: String) -> Parameter {
            Parameter(name: name, place: .query, schema: schema, text: text)
        }

        static func path(_ name: String, _ schema: Schema, _ text: String) -> Parameter {
            Parameter(name: name, place: .path, schema: schema, text: text, isRequired: true)
        }

        static func header(_ name: String, _ schema: Schema, _ text: String) -> Parameter {
            Parameter(name: name, place: .header, schema: schema, text: text)
        }
    }

    /// What is sent along.
    struct Body: Sendable {
        var contentType = "application/json"
        var schema: Schema
    }

    struct Reply: Sendable {
        var status: HTTPResponse.Status
        var text: String
        /// Schema of each content type; none: no body.
        var contents: [(type: String, schema: Schema)]

        static func json(_ schema: Schema, _ status: HTTPResponse.Status = .ok, _ text: String = "Done.")
            -> Reply
        {
            Reply(status: status, text: text, contents: [("application/json", schema)])
        }

        static func empty(_ text: String) -> Reply { Reply(status: .noContent, text: text, contents: []) }
    }

    /// What it is about; groups the document.
    enum Tag: String, CaseIterable { case service, billing, purchases, sessions, admin }

    var tag: Tag
    /// Unique in the document.
    var id: String
    var summary: String
    var parameters: [Parameter]
    var body: Body?
    var replies: [Reply]
    /// Statuses with the error shape, besides those that follow from the access, the parameters and the body.
    var errors: [HTTPResponse.Status]
    /// A change: exactly one entry of the audit log. Of a staff route that is no GET.
    var audits: Bool

    init(
        _ tag: Tag, _ id: String, _ summary: String, _ parameters: [Parameter] = [], body: Schema? = nil,
        reply: Schema, errors: [HTTPResponse.Status] = [], audits: Bool = false
    ) {
        self.init(
            tag, id, summary, parameters, body: body.map { Body(schema: $0) }, replies: [.json(reply)],
            errors: errors,
            audits: audits)
    }

    init(
        _ tag: Tag, _ id: String, _ summary: String, _ parameters: [Parameter] = [], body: Body? = nil,
        replies: [Reply], errors: [HTTPResponse.Status] = [], audits: Bool = false
    ) {
        self.tag = tag
        self.id = id
        self.summary = summary
        self.parameters = parameters
        self.body = body
        self.replies = replies
        self.errors = errors
        self.audits = audits
    }
}

extension [Operation.Parameter] {
    /// Of every list (CONTRACT §5).
    static let page: [Operation.Parameter] = [
        .query("limit", .integer(1...500), "Rows of a page; 50 when it is not given."),
        .query("cursor", .string, "The `nextCursor` of the page before."),
    ]

    static let span: [Operation.Parameter] = [
        .query("from", .string, "A UTC day or an instant, such as 2026-11-12 or 2026-11-12T08:30:00Z."),
        .query("to", .string, "As `from`; not included."),
    ]
}
