import Testing

@testable import Proxy

/// One function decides whose request it is; no disguise may reach the other plane.
@Suite struct PlaneTests {
    static func classify(_ target: String) -> Plane {
        var target = target
        return target.withUTF8 { Plane.classify(target: UnsafeRawBufferPointer($0)) }
    }

    @Test(arguments: [
        ("/v1/chat/completions", Plane.data(.metered(.chat))),
        ("/v1/chat/completions?x=1", .data(.metered(.chat))),
        ("/api/ai/chat", .data(.aiChat)), ("/api/ai/chatx", .control), ("/api/ai/chat/", .control),
        ("/v1/models", .data(.models)), ("/v1/models/gpt-4o", .data(.model(11..<17))),
        ("/v1", .data(.unmetered)),
        ("/v1/", .data(.unmetered)), ("/v1/files", .data(.unmetered)), ("/v10/x", .control),
        ("/v1/responses", .data(.metered(.responses))),
        ("/v1/responses/resp_1", .data(.storedResponse(14..<20))),
        ("/v1/responses/a-Z_9?x=/..", .data(.storedResponse(14..<19))), ("/v1/responses/", .data(.unmetered)),
        ("/v1/responses/resp_1/", .data(.unmetered)), ("/v1/responses/resp_1/cancel", .data(.unmetered)),
        ("/v1/responses/resp_1/input_items", .data(.unmetered)), ("/v1/responses/a.b", .data(.unmetered)),
        ("/v1/responses/a%20b", .data(.unmetered)), ("/v1/responses/a:b", .data(.unmetered)),
        ("/v1/responses/" + String(repeating: "x", count: 129), .data(.unmetered)),
        ("/v1/completions", .data(.metered(.completions))),
        ("/v1/embeddings", .data(.metered(.embeddings))), ("/v1/moderations", .data(.metered(.moderations))),
        ("/v1/images/generations", .data(.metered(.images))), ("/v1/audio/speech", .data(.metered(.speech))),
        ("/v1/audio/transcriptions", .data(.metered(.transcriptions))),
        ("/v1/audio/translations", .data(.metered(.translations))), ("/v1/images/edits", .data(.unmetered)),
        ("/", .control), ("/api/admin/rate-cards", .rateCard), ("/api/admin/rate-cards/review", .rateCard),
        ("/admin/rate-card-editor", .rateCard), ("/admin/rate-cards", .control),
        ("/api/admin/flags", .control),
        ("/api/health", .control), ("/V1/chat/completions", .control), ("/a%20b", .control),
    ])
    func plainTargets(target: String, expected: Plane) { #expect(Self.classify(target) == expected) }

    @Test(arguments: [
        "", "v1/models", "*", "http://x/v1/models", "//v1/models", "/v1//models", "/./v1", "/v1/../api",
        "/v1/..",
        "/%76%31/models", "/v1%2fmodels", "/v1%2Fmodels", "/%2e%2e/x", "/v1/models%", "/v1/%zz",
        "/v1\\models", "/v1/responses/..", "/v1/responses/%2e%2e", "/v1/responses/a%2fb",
        "/v1/responses/a/../b",
        "/v1/responses//a",
        "/v1#x", "/v1/m\u{e9}", "/v1/a%00b", "/v1/%41",
    ])
    func disguisesAreInvalid(target: String) { #expect(Self.classify(target) == .invalid) }
}
