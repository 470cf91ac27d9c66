import Billing
import Logging

/// Keeps the secrets of authenticators sealed under the newest `SESSION_SECRET`: also those of people who do not sign in
/// while it is rotated, and who could not sign in any more once the old one is gone.
public struct StaffSeals: Sendable {
    private let store: any StaffStore
    private let secrets: SessionSecrets
    private let logger: Logger

    /// - Parameter sessionSecrets: newest first, at least one.
    public init(store: any StaffStore, sessionSecrets: [String], logger: Logger) {
        self.store = store
        self.secrets = SessionSecrets(sessionSecrets)
        self.logger = logger
    }

    /// Seals anew what is sealed under an older secret. To be called whenever the list of secrets is read. What does not
    /// open stays as it is, since the secret that opens it may come back, and is reported.
    public func renew() async {
        do {
            var shut: [Int64] = []
            var renewed = 0
            for one in try await self.store.sealedSecrets() {
                guard let opened = self.secrets.open(one.sealed, of: one.staffID) else {
                    shut.append(one.staffID)
                    continue
                }
                guard let resealed = self.secrets.resealed(opened, one) else { continue }
                if try await self.store.reseal(resealed) { renewed += 1 }
            }
            if !shut.isEmpty { Self.report(shut, self.logger) }
            if renewed > 0 {
                self.logger.notice(
                    "authenticators sealed under the new SESSION_SECRET", metadata: ["count": "\(renewed)"])
            }
        } catch {
            self.logger.error(
                "authenticators not sealed anew: keep the old SESSION_SECRET, and reload once more",
                metadata: ["error": "\(error)"])
        }
    }

    static func report(_ staff: [Int64], _ logger: Logger) {
        logger.error(
            "secrets of authenticators do not open: SESSION_SECRET lacks the one that sealed them",
            metadata: ["staff": "\(staff.map(String.init).joined(separator: " "))"])
    }
}

extension SessionSecrets {
    /// nil: it is sealed under the newest secret.
    func resealed(_ opened: Opened, _ stored: SealedSecret) -> ResealedSecret? {
        guard opened.isOld else { return nil }
        return ResealedSecret(
            staffID: stored.staffID, old: stored.sealed, new: self.seal(opened.secret, of: stored.staffID))
    }
}
