import Billing

extension SessionRoutes {
    private static let session = Schema.object([
        .init("name", .string.described("As the audit log names them: `staff:NAME` or `admin-token`.")),
        .init("role", .word(StaffRole.self)),
        .init("csrfToken", .string.orNull.described("For `x-csrf-token`; null with `ADMIN_TOKEN`.")),
        .init("expiresAtMs", .integer.orNull),
    ])

    static let signInOperation = Operation(
        .sessions, "signIn", "Begin a session: 12 hours at most, 30 minutes without a request.",
        body: Operation.Body(
            schema: .object(
                [
                    .init("email", .string(1...254)), .init("password", .string(1...1024)),
                    .init("code", .string(1...64).described("Of the authenticator, or a recovery code.")),
                ], isClosed: true)),
        replies: [.json(Self.session)],
        errors: [.unauthorized, .unsupportedMediaType, .tooManyRequests, .serviceUnavailable])

    static let showOperation = Operation(.sessions, "session", "Who one is.", reply: Self.session)

    static let signOutOperation = Operation(
        .sessions, "signOut", "End the session.", replies: [.empty("It has ended.")])

    static let beginOperation = Operation(
        .sessions, "beginEnrolment", "The secret for the authenticator of whoever was invited.",
        body: Operation.Body(schema: .object([.init("token", .string(1...128))], isClosed: true)),
        replies: [
            .json(
                .object([
                    .init("email", .string), .init("name", .string), .init("totpSecret", .string),
                    .init("otpauthUrl", .string),
                ]))
        ], errors: [.unauthorized, .tooManyRequests, .serviceUnavailable])

    static let enrolOperation = Operation(
        .sessions, "enrol", "Set the password; answers recovery codes, which are shown once.",
        body: Operation.Body(
            schema: .object(
                [
                    .init("token", .string(1...128)), .init("password", .string(1...4096)),
                    .init("code", .string(1...64)),
                ], isClosed: true)),
        replies: [
            .json(
                .object([
                    .init("name", .string), .init("role", .word(StaffRole.self)),
                    .init("recoveryCodes", .array(.string)),
                ]))
        ], errors: [.unauthorized, .tooManyRequests, .serviceUnavailable], audits: true)
}
