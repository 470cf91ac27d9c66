import Hummingbird
import Metering

/// `/api/admin/caps`: what an account may spend at most, as this instance enforces it.
struct CapRoutes: Sendable {
    let caps: SpendCaps

    func add(to table: inout RouteTable) {
        table.get("/api/admin/caps", staff: .viewer, Self.operation) { _, _, _ in
            JSONValue.object([
                ("requestMillicredits", Self.json(self.caps.request)),
                ("sessionMillicredits", Self.json(self.caps.session)),
                ("dayMillicredits", Self.json(self.caps.day)),
            ]).response()
        }
    }

    private static func json(_ cap: Millicredits?) -> JSONValue {
        cap.map { .string("\($0.value)") } ?? .null
    }

    private static let operation = Operation(
        .admin, "adminCaps",
        "Caps of one request, of sixty minutes and of a UTC day, the same for every account; null: none. "
            + "They are set in the environment.",
        reply: .object(
            ["requestMillicredits", "sessionMillicredits", "dayMillicredits"].map {
                .init($0, .string.orNull)
            }))
}
