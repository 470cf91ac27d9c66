import HTTPTypes
import Hummingbird
import Metering

/// Who asks, and whose account is meant (CONTRACT §5): a user key, a service key with `X-Tollgate-User`, or
/// the admin
/// token.
struct Credentials: Sendable {
    private let adminTokens: [[UInt8]]
    private let directory: any AccountDirectory
    private let hasher: KeyHasher

    init(settings: ControlPlane.Settings, dependencies: ControlPlane.Dependencies) {
        self.adminTokens = settings.adminTokens.map { Array($0.utf8) }
        self.directory = dependencies.directory
        self.hasher = dependencies.keyHasher
    }

    /// The account that the request is about.
    func account(of request: Request) async throws -> AccountRecord {
        guard let token = Self.bearer(request) else { throw APIError.unauthorized }
        let named = request.headers[.tollgateUser]
        if self.isAdmin(token) {
            let userID =
                request.uri.queryParameters["userId"].map(String.init) ?? named ?? ControlPlane.adminUserID
            return try await self.found(userID: userID)
        }
        guard let key = try await self.key(token) else { throw APIError.unauthorized }
        switch key.holder {
        case .account(let account):
            guard named == nil || named == key.label else {
                throw APIError(
                    status: .forbidden, message: "This key may not see the user it names.",
                    code: "not_your_account")
            }
            return try await self.found(account)
        case .service:
            guard let named, !named.isEmpty else {
                throw APIError.badRequest(
                    "X-Tollgate-User", "A service key must name the user in 'X-Tollgate-User'.")
            }
            return try await self.found(userID: named)
        }
    }

    private static func bearer(_ request: Request) -> [UInt8]? {
        guard let field = request.headers[.authorization], field.count > 7,
            field.prefix(7).lowercased() == "bearer "
        else { return nil }
        return Array(field.dropFirst(7).utf8)
    }

    /// Every token is compared to its end, whatever the first difference.
    private func isAdmin(_ token: [UInt8]) -> Bool {
        var matches = false
        for admin in self.adminTokens {
            var difference = admin.count ^ token.count
            for index in 0..<admin.count {
                difference |= Int(admin[index] ^ (index < token.count ? token[index] : 0))
            }
            if difference == 0 { matches = true }
        }
        return matches
    }

    private func key(_ token: [UInt8]) async throws -> KeyRecord? {
        let digests = token.withUnsafeBytes { self.hasher.candidates($0) }
        for digest in digests {
            if let key = self.directory.cachedKey(digest) { return key }
        }
        for digest in digests {
            let result = await withCheckedContinuation { continuation in
                self.directory.resolveKey(digest) { continuation.resume(returning: $0) }
            }
            switch result {
            case .success(let key): if let key { return key }
            case .failure: throw APIError.unavailable
            }
        }
        return nil
    }

    private func found(_ account: AccountID) async throws -> AccountRecord {
        if let record = self.directory.cachedAccount(account) { return record }
        let result = await withCheckedContinuation { continuation in
            self.directory.resolveAccount(account) { continuation.resume(returning: $0) }
        }
        switch result {
        case .success(.some(let record)): return record
        case .success(.none): throw APIError.unauthorized
        case .failure: throw APIError.unavailable
        }
    }

    private func found(userID: String) async throws -> AccountRecord {
        guard UserID.isValid(userID) else {
            throw APIError.badRequest(
                "X-Tollgate-User", "The user id must be 1 to 256 bytes without control characters.")
        }
        if let record = self.directory.cachedAccount(userID: userID) { return record }
        let result = await withCheckedContinuation { continuation in
            self.directory.findOrCreateAccount(userID: userID) { continuation.resume(returning: $0) }
        }
        switch result {
        case .success(let record): return record
        case .failure: throw APIError.unavailable
        }
    }
}
