import HTTPTypes
import Hummingbird
import Metering

/// Who asks, and whose account is meant (CONTRACT §5): a user key, a service key with `X-Tollgate-User`, or
/// the admin token; a browser's session or a token of the app, where the credits page is set up.
struct Credentials: Sendable {
    private static let userField = "X-Tollgate-User"
    private static let userQuery = "userId"

    private let adminTokens: AdminTokens
    private let directory: any AccountDirectory
    private let hasher: KeyHasher
    private let sessions: PortalSessions?
    private let appTokens: AppTokens?

    init(settings: ControlPlane.Settings, dependencies: ControlPlane.Dependencies) {
        self.adminTokens = AdminTokens(settings.adminTokens, hasher: dependencies.keyHasher)
        self.directory = dependencies.directory
        self.hasher = dependencies.keyHasher
        self.sessions = dependencies.portal.map {
            PortalSessions(store: $0.store, hasher: $0.hasher, isSecure: $0.site.isSecure)
        }
        self.appTokens = dependencies.portal?.appTokens
    }

    /// The account that the request is about.
    func account(of request: Request) async throws -> AccountRecord {
        guard let token = Self.bearer(request) else { return try await self.visitor(request) }
        if self.adminTokens.contains(token) {
            if let queried = Self.queriedUser(request) {
                return try await self.existing(userID: queried, namedBy: Self.userQuery)
            }
            if let named = try Self.namedUser(request) {
                return try await self.existing(userID: named, namedBy: Self.userField)
            }
            return try await self.found(userID: ControlPlane.adminUserID, namedBy: Self.userField)
        }
        if self.appTokens != nil, let text = String(validating: token, as: UTF8.self),
            AppTokens.looksLikeOne(text)
        {
            let account = try await self.account(vouchedForBy: text)
            try Self.refuseOthers(than: account.userID, in: request)
            return account
        }
        guard let key = try await self.key(token) else { throw APIError.unauthorized }
        let named = try Self.namedUser(request)
        switch key.holder {
        case .account(let account):
            try Self.refuseOthers(than: key.label, in: request)
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

    /// For routes that only an app's server may call.
    func serviceAccount(of request: Request) async throws -> AccountRecord {
        guard let token = Self.bearer(request), let key = try await self.key(token) else {
            throw APIError.unauthorized
        }
        guard case .service = key.holder else { throw APIError.notServiceKey }
        return try await self.account(of: request)
    }

    // MARK: Browsers and apps

    /// The account that an app's token speaks of; made on first use, as by a service key.
    func account(vouchedForBy token: String) async throws -> AccountRecord {
        guard let appTokens else { throw APIError.unauthorized }
        let user: String
        do throws(AppTokenClaims.Refusal) {
            user = try await appTokens.user(of: token)
        } catch {
            throw error == .keysUnavailable ? APIError.keysUnavailable : APIError.tokenRefused(error)
        }
        return try await self.found(userID: user, namedBy: "sub")
    }

    /// The account of a session of the credits page. Whoever has one changes nothing without its CSRF token.
    private func visitor(_ request: Request) async throws -> AccountRecord {
        guard let visit = try await self.sessions?.visit(request) else { throw APIError.unauthorized }
        try visit.checkCSRF(request)
        let account = try await self.account(of: visit)
        try Self.refuseOthers(than: account.userID, in: request)
        return account
    }

    func account(of visit: PortalVisit) async throws -> AccountRecord {
        try await self.found(visit.session.account)
    }

    /// By bytes, as the ledger tells users apart: `==` would take `é` in one scalar for `é` in two.
    private static func refuseOthers(than user: String, in request: Request) throws {
        for named in [try self.namedUser(request), self.queriedUser(request)].compactMap({ $0 })
        where !named.utf8.elementsEqual(user.utf8) {
            throw APIError.notYourAccount
        }
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
