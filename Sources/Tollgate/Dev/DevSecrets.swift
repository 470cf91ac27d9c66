import Foundation
import LocalStores
import PostgresLedger

/// Secrets of a dev stack: made once, kept below its directory, readable by its owner only.
struct DevSecrets: Codable {
    var adminToken: String
    var keyPepper: String
    var sessionSecret: String
    var stripeWebhookSecret: String
    var apiKey: String
    var serviceKey: String

    static func load(_ path: String) throws -> DevSecrets {
        if let data = FileManager.default.contents(atPath: path) {
            do {
                return try JSONDecoder().decode(DevSecrets.self, from: data)
            } catch {
                throw CommandFailure("'\(path)' cannot be read; remove it, and the directory's data with it")
            }
        }
        let secrets = DevSecrets(
            adminToken: self.random(), keyPepper: self.random(), sessionSecret: self.random(),
            stripeWebhookSecret: "whsec_" + self.random(), apiKey: KeySecret().text,
            serviceKey: KeySecret().text)
        let data = try JSONEncoder().encode(secrets)
        try writePrivately(String(decoding: data, as: UTF8.self), to: path)
        return secrets
    }

    private static func random() -> String { String(KeySecret().text.dropFirst(3)) }
}

/// What `DIR/dev.json` says (CONTRACT §1).
struct DevFacts: Codable {
    var baseURL: String
    var apiKey: String
    var serviceKey: String
    var adminToken: String
    var keyPepper: String
    var stripeWebhookSecret: String
    var databaseURL: String
    var redisURL: String
    var upstreamURL: String
    /// Stripe's API, or the mock of it.
    var stripeURL: String
    var opsURL: String
    var portalURL: String
    var adminURL: String

    func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try writePrivately(String(decoding: try encoder.encode(self), as: UTF8.self) + "\n", to: path)
    }
}
