import HTTPTypes
import Hummingbird
import Metering

/// Who asks, and whose account is meant (CONTRACT §5): a user key, a service key with `X-Tollgate-User`, or
/// the admin token.
struct Credentials: Sendable {
    private static let userField = "X-Tollgate-User"
    private static let userQuery = "userId"

    private let adminTokens: AdminTokens
    private let directory: any AccountDirectory
    private let hasher: KeyHasher

    init(settings: ControlPlane.Settings, dependencies: ControlPlane.Dependencies) {
        self.adminTokens = AdminTokens(settings.adminTokens, hasher: dependencies.keyHasher)
        self.directory = dependencies.directory
        self.hasher = dependencies.keyHasher
    }

    /// The account that the request is about.
    func account(of request: Request) async throws -> AccountRecord {
        guard let token = Self.bearer(request) else { throw APIError.unauthorized }
        if self.adminTokens.contains(token) {
            if let queried = Self.queriedUser(request) {
                return try await self.existing(userID: queried, namedBy: Self.userQuery)
            }
            if let named = try Self.namedUser(request) {
                return try await self.existing(userID: named, namedBy: Self.userField)
            }
            return try await self.found(userID: ControlPlane.adminUserID, namedBy: Self.userField)
        }
        guard let key = try await self.key(token) else { throw APIError.unauthorized }
        let named = try Self.namedUser(request)
        switch key.holder {
        case .account(let account):
            // By bytes, as the ledger tells users apart: `==` would take `é` in one scalar for `é` in two.
            for user in [named, Self.queriedUser(request)].compactMap({ $0 })
            where !user.utf8.elementsEqual(key.label.utf8) {
                throw APIError.notYourAccount
            }
            return try await self.found(account)
        case .service:
            guard let named, !named.isEmpty else {
                throw APIError.badRequest(
                    Self.userField, "A service key must name the user in '\(Self.userField)'.")
            }
            return try await self.found(userID: named, namedBy: Self.userField)
        }
    }

    /// For routes of the operator's own. A key that is known otherwise is told that it is not enough.
    func staff(of request: Request) async throws -> Staff {
        guard let token = Self.bearer(request) else { throw APIError.unauthorized }
        guard !self.adminTokens.contains(token) else { return .token }
        guard try await self.key(token) != nil else { throw APIError.unauthorized }
        throw APIError.notAdmin
    }

    // MARK: What the request says

    private static func bearer(_ request: Request) -> [UInt8]? {
        guard let field = request.headers[.authorization], field.prefix(7).lowercased() == "bearer " else {
            return nil
        }
        let token = field.dropFirst(7).drop { $0 == " " }
        return token.isEmpty ? nil : Array(token.utf8)
    }

    /// Two fields would be joined by a comma, which is a user's name as well as any other.
    private static func namedUser(_ request: Request) throws -> String? {
        let values = request.headers[values: .tollgateUser]
        guard values.count <= 1 else {
            throw APIError.badRequest(Self.userField, "'\(Self.userField)' may be given once only.")
        }
        return values.first
    }

    private static func queriedUser(_ request: Request) -> String? {
        request.uri.queryParameters[Substring(Self.userQuery)].map(String.init)
    }

    // MARK: What the directory says

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

    /// For an admin, who may mistype a name: nobody is made by asking for them.
    private func existing(userID: String, namedBy place: String) async throws -> AccountRecord {
        if let record = try self.known(userID: userID, namedBy: place) { return record }
        let result = await withCheckedContinuation { continuation in
            self.directory.findAccount(userID: userID) { continuation.resume(returning: $0) }
        }
        switch result {
        case .success(.some(let record)): return record
        case .success(.none): throw APIError.noSuchAccount
        case .failure: throw APIError.unavailable
        }
    }

    private func found(userID: String, namedBy place: String) async throws -> AccountRecord {
        if let record = try self.known(userID: userID, namedBy: place) { return record }
        let result = await withCheckedContinuation { continuation in
            self.directory.findOrCreateAccount(userID: userID) { continuation.resume(returning: $0) }
        }
        switch result {
        case .success(let record): return record
        case .failure: throw APIError.unavailable
        }
    }

    /// What the snapshot knows of a well-formed name.
    ///
    /// - Parameter place: the field or parameter that named the user; for the error.
    private func known(userID: String, namedBy place: String) throws -> AccountRecord? {
        guard UserID.isValid(userID) else {
            throw APIError.badRequest(
                place, "'\(place)' must be 1 to 256 bytes of UTF-8 without control characters.")
        }
        return self.directory.cachedAccount(userID: userID)
    }
}
