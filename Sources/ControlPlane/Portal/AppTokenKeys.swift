import Foundation
import JWTKit
import Logging

/// Where the app's public keys are read: a file, or a URL.
public protocol KeySetSource: Sendable {
    /// A JSON Web Key Set (RFC 7517).
    func keySet() async throws -> [UInt8]
}

/// The keys that the app signs with. An actor, so that many requests at once lead to one fetch.
public actor AppTokenKeys {
    private let source: (any KeySetSource)?
    private let logger: Logger
    /// Milliseconds since 1970.
    private let now: @Sendable () -> Int64
    private var keys: [AppTokenKey] = []
    private var fetches = KeySetFetches()
    private var fetching: Task<[AppTokenKey]?, Never>?
    private let secrets: [String]

    /// HS256.
    ///
    /// - Parameter secrets: several while rotating, each of at least 32 bytes.
    public init(secrets: [String], logger: Logger) {
        self.source = nil
        self.secrets = secrets
        self.logger = logger
        self.now = { 0 }
    }

    /// RS256, ES256 and EdDSA.
    public init(
        source: any KeySetSource, logger: Logger,
        now: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970 * 1000) }
    ) {
        self.source = source
        self.secrets = []
        self.logger = logger
        self.now = now
    }

    /// The key that a token names; a set is fetched again when it does not know the name, and every quarter of an hour.
    func key(named name: String?, algorithm: String) async throws(AppTokenClaims.Refusal) -> AppTokenKey {
        if self.source == nil, self.keys.isEmpty { self.keys = [await AppTokenKey(secrets: self.secrets)] }
        if self.source != nil, self.fetches.isStale(now: self.now()) { await self.refresh() }
        if self.source != nil, !self.known(name) { await self.refresh() }
        guard !self.keys.isEmpty else { throw .keysUnavailable }
        guard self.known(name) else { throw .unknownKey }
        guard let key = self.keys.first(where: { self.fits($0, name) && $0.algorithms.contains(algorithm) })
        else { throw .algorithm }
        return key
    }

    private func known(_ name: String?) -> Bool { self.keys.contains { self.fits($0, name) } }

    /// A secret has no name, whatever the token calls it; of a set, a token without a name means a key without one, or
    /// the only one.
    private func fits(_ key: AppTokenKey, _ name: String?) -> Bool {
        if self.source == nil { return true }
        guard let name else { return key.name == nil || self.keys.count == 1 }
        return key.name == name
    }

    private func refresh() async {
        if let fetching {
            // Whoever began it may be resumed behind those who wait with it.
            if let keys = await fetching.value { self.keys = keys }
            return
        }
        guard let source, self.fetches.mayBegin(now: self.now()) else { return }
        let logger = self.logger
        // SAFETY: ends with the fetch, whose time the source bounds; whoever else wants keys waits for the same one.
        let task = Task { await Self.fetch(source, logger) }
        self.fetching = task
        let keys = await task.value
        self.fetching = nil
        guard let keys else { return }
        self.keys = keys
        self.fetches.succeeded(now: self.now())
    }

    private static func fetch(_ source: any KeySetSource, _ logger: Logger) async -> [AppTokenKey]? {
        let bytes: [UInt8]
        do {
            bytes = try await source.keySet()
        } catch {
            logger.warning("the app's keys were not fetched", metadata: ["error": "\(type(of: error))"])
            return nil
        }
        let keys = await self.parse(bytes)
        if keys == nil { logger.warning("the app's key set has no key that can be used") }
        return keys
    }

    /// Each key by itself: one of a kind that is not known here must not hide the others. nil: there is none.
    static func parse(_ bytes: [UInt8]) async -> [AppTokenKey]? {
        let object = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]
        let texts = (object?["keys"] as? [[String: Any]] ?? []).compactMap { entry -> String? in
            guard entry["use"] as? String ?? "sig" == "sig" else { return nil }
            return (try? JSONSerialization.data(withJSONObject: entry)).map {
                String(decoding: $0, as: UTF8.self)
            }
        }
        var keys: [AppTokenKey] = []
        for text in texts {
            if let jwk = try? JWK(json: text), let key = await AppTokenKey(jwk) { keys.append(key) }
        }
        return keys.isEmpty ? nil : keys
    }
}

/// When a key set is fetched. Times are milliseconds since 1970.
struct KeySetFetches: Sendable, Hashable {
    private var begunAt: Int64?
    private var succeededAt: Int64?

    /// Names are anybody's to invent: they lead to one fetch a minute.
    static let pause: Int64 = 60_000
    static let age: Int64 = 900_000

    func isStale(now: Int64) -> Bool { self.succeededAt.map { now - $0 >= Self.age } ?? true }

    mutating func mayBegin(now: Int64) -> Bool {
        if let begunAt, now - begunAt < Self.pause { return false }
        self.begunAt = now
        return true
    }

    mutating func succeeded(now: Int64) { self.succeededAt = now }
}
