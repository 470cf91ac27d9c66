import Billing
import Hummingbird
import Metering

/// `/api/admin/flags`.
struct FlagRoutes: Sendable {
    let desk: any FlagDesk

    private static let path = "/api/admin/flags"
    private static let valueBytes = 0...Controls.textBytesMax
    /// A value that is escaped throughout, and the rest.
    private static let bodyBytesMax = 6 * Controls.textBytesMax + (16 << 10)

    func add(to table: inout RouteTable) {
        table.get(Self.path, staff: .viewer, Self.listOperation) { _, _, _ in
            let flags = try await Self.asking { () async throws(FlagRefusal) in
                try await self.desk.flags()
            }
            return AdminReplies.page(flags.map(Self.json), next: nil)
        }
        table.put(Self.path + "/:name", staff: .owner, Self.setOperation) { request, context, staff in
            let body = try await JSONBody(
                request, ["value", "expectedVersion", "reason"], bytesMax: Self.bodyBytesMax)
            let (value, version) = (try body.text("value", Self.valueBytes), try Self.version(body))
            let (name, note) = (try Self.name(context), staff.note(try body.reason(), context))
            return Self.json(
                try await Self.asking { () async throws(FlagRefusal) in
                    try await self.desk.setFlag(name, to: value, expecting: version, note).after
                }
            ).response()
        }
        table.post(Self.path + "/:name/reset", staff: .owner, Self.clearOperation) {
            request, context, staff in
            let body = try await JSONBody(request, ["expectedVersion", "reason"])
            let version = try Self.version(body)
            let (name, note) = (try Self.name(context), staff.note(try body.reason(), context))
            return Self.json(
                try await Self.asking { () async throws(FlagRefusal) in
                    try await self.desk.clearFlag(name, expecting: version, note).after
                }
            ).response()
        }
    }

    private static func version(_ body: JSONBody) throws -> Int64? {
        try body.optionalInteger("expectedVersion", 0...Int64.max)
    }

    static func name(_ context: ControlContext) throws -> ControlName {
        guard let name = context.parameters.get("name").flatMap({ ControlName(rawValue: $0) }) else {
            throw Self.unknown
        }
        return name
    }

    private static let unknown = APIError(
        status: .notFound, message: "There is no such flag.", code: "flag_not_found")

    /// What the desk refuses, in words.
    @discardableResult
    static func asking<Value>(_ body: () async throws(FlagRefusal) -> Value) async throws -> Value {
        do throws(FlagRefusal) { return try await body() } catch { throw Self.error(error) }
    }

    static func error(_ refusal: FlagRefusal) -> APIError {
        switch refusal {
        case .badValue(let problem): .badRequest("value", "'value' \(problem.message).")
        case .invalidReason: .badRequest("reason", "'reason' is not a reason.")
        case .changedMeanwhile(let version):
            APIError(
                status: .conflict, message: "Somebody changed it meanwhile; its version is \(version).",
                code: "changed_meanwhile", param: "expectedVersion")
        case .ledgerUnavailable: .unavailable
        }
    }

    private static func json(_ flag: FlagState) -> JSONValue {
        .object([
            ("name", .string(flag.name.rawValue)), ("value", .string(flag.value)),
            ("environmentValue", .string(flag.environmentValue)), ("source", .string(flag.source.rawValue)),
            ("reason", .text(flag.change?.reason)), ("actor", .text(flag.change?.actor)),
            ("changedAtMs", (flag.change?.at).json),
            ("version", .integer(flag.version)),
        ])
    }

    // MARK: Document

    private static let flag = Schema.object([
        .init("name", .word(ControlName.self)), .init("value", .string), .init("environmentValue", .string),
        .init("source", .word(FlagState.Source.self)), .init("reason", .string.orNull),
        .init("actor", .string.orNull),
        .init("changedAtMs", .integer.orNull), .init("version", .integer),
    ])

    private static let version = Property.optional("expectedVersion", .integer(0...Int64.max).orNull)
    private static let nameParameter = Operation.Parameter.path(
        "name", .word(ControlName.self), "Its name in the environment.")

    private static let listOperation = Operation(
        .admin, "adminFlags",
        "Feature flags and kill switches; of one that nobody set, the value in the environment of the instance that answers.",
        reply: .page(Self.flag))

    private static let setOperation = Operation(
        .admin, "adminSetFlag", "Change a flag; every instance knows within a second.", [Self.nameParameter],
        body: Operation.Body(
            schema: .object(
                [
                    .init("value", .string(0...Int64(valueBytes.upperBound))), Self.version,
                    AccountRoutes.reason,
                ], isClosed: true)),
        replies: [.json(Self.flag)], errors: [.notFound, .conflict], audits: true)

    private static let clearOperation = Operation(
        .admin, "adminResetFlag", "Let the environment's value count again.", [Self.nameParameter],
        body: Operation.Body(schema: .object([Self.version, AccountRoutes.reason], isClosed: true)),
        replies: [.json(Self.flag)], errors: [.notFound, .conflict], audits: true)
}
