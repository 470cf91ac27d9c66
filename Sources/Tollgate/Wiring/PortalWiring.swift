import Billing
import ControlPlane
import Foundation
import Logging
import Metering
import Payments
import PostgresLedger
import StripeAPI

/// Puts the parts of the credits page together.
enum PortalWiring {
    /// - Parameter ledger: on connections of its own: a page may take a while to read.
    static func parts(
        _ configuration: ServeConfiguration, standing: any CheckoutStanding, controls: any ControlSource,
        ledger: PostgresLedger, logger: Logger
    ) -> PortalParts {
        let settings = configuration.portal
        let origins = [configuration.publicURL] + configuration.corsOrigins
        return PortalParts(
            site: WebSite(
                name: configuration.statements.operatorName, publicURL: configuration.publicURL,
                checkoutOrigins: settings.checkoutOrigins,
                appURL: settings.appURL, chartScript: settings.chartScript),
            store: ledger, hasher: configuration.secrets.sessionHasher, reading: ledger, standing: standing,
            controls: controls, returnOrigins: Set(origins.compactMap { WebOrigin($0) }),
            appTokens: settings.appTokens.map { Self.appTokens($0, logger) })
    }

    /// The parts with what SIGHUP takes over. A key set stays: it is read again by itself.
    static func rotated(
        _ parts: PortalParts, _ secrets: RotatingSecrets, _ settings: PortalSettings, _ logger: Logger
    ) -> PortalParts {
        var parts = parts
        parts.hasher = secrets.sessionHasher
        if var tokens = settings.appTokens, case .secrets = tokens.keys {
            tokens.keys = .secrets(secrets.appTokenSecrets)
            parts.appTokens = Self.appTokens(tokens, logger)
        }
        return parts
    }

    private static func appTokens(_ settings: PortalSettings.AppTokens, _ logger: Logger) -> AppTokens {
        let keys =
            switch settings.keys {
            case .secrets(let secrets): AppTokenKeys(secrets: secrets.map(\.value), logger: logger)
            case .file(let path): AppTokenKeys(source: KeySetFile(path: path), logger: logger)
            case .url(let location): AppTokenKeys(source: KeySetURL(location), logger: logger)
            }
        return AppTokens(issuer: settings.issuer, audience: settings.audience, keys: keys)
    }
}

/// A key set that is replaced on disk when keys rotate.
private struct KeySetFile: KeySetSource {
    struct Unreadable: Error {}

    let path: String

    func keySet() async throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: self.path) else { throw Unreadable() }
        return Array(data)
    }
}

private struct KeySetURL: KeySetSource {
    struct BadReply: Error {
        var status: Int
    }

    private let location: JWKSLocation
    private let http: OutboundHTTP

    init(_ location: JWKSLocation) {
        self.location = location
        var outbound = OutboundHTTP.Configuration()
        outbound.threads = 1
        outbound.connectTimeout = .seconds(3)
        outbound.totalTimeout = .seconds(5)
        outbound.bodyBytesMax = 1 << 20
        self.http = OutboundHTTP(outbound)
    }

    func keySet() async throws -> [UInt8] {
        let reply = try await self.http.send(
            OutboundRequest(
                .get, self.location.base, target: self.location.target,
                headers: [
                    .init("Accept", "application/json"), .init("User-Agent", "Tollgate/\(Version.text)"),
                ]))
        guard reply.status == 200 else { throw BadReply(status: reply.status) }
        return reply.body
    }
}
