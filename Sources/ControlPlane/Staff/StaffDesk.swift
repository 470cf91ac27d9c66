import Billing
import Crypto
import Foundation
import Logging
import Metering

/// Signs people in and out, and lets new ones choose their password. Whatever is wrong is told apart to nobody.
struct StaffDesk: Sendable {
    let store: any StaffStore
    let secrets: SessionSecrets
    var work = SlowWork.passwords
    var logger = Logger(label: "tollgate.staff")
    /// Milliseconds since 1970.
    var now: @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970 * 1000) }

    enum Refusal: Error, Sendable, Hashable {
        case wrong
        case wait(seconds: Int64)
        /// The hashing threads have enough to do.
        case busy
        case ledgerUnavailable
    }

    // MARK: Signing in

    /// - Parameters:
    ///   - code: of the authenticator, or a recovery code.
    ///   - address: where the request comes from.
    ///   - known: what the browser's cookie of that name says.
    func signIn(
        email typed: String, password: String, code: String, from address: String, known: String?
    ) async throws(Refusal) -> SignedIn {
        // A code is of the moment in which it came, however long the password takes.
        let arrivedAt = self.now()
        let attempt = self.attempt(typed, from: address, known: known)
        if case .wait(let seconds) = try await self.asking({ try await $0.admitSignIn(attempt.buckets) }) {
            throw .wait(seconds: seconds)
        }
        // Behind the limit: whoever is over it must not fill the places of others.
        let place: SlowWork.Place
        do throws(Refusal) { place = try self.enter() } catch {
            // Whoever finds no place has not tried.
            try? await self.store.takeBackSignIn(attempt.buckets)
            throw error
        }
        defer { place.leave() }
        var proof: StaffProof?
        if let email = StaffEmail(typed) { proof = try await self.asking { try await $0.proof(of: email) } }
        guard await self.isPassword(password, proof?.passwordHash, place), let proof else { throw .wrong }
        let stored = SealedSecret(staffID: proof.member.staffID, sealed: proof.sealedTOTP)
        let opened = self.open(stored)
        guard let factor = self.factor(code, at: arrivedAt, opened?.secret, proof) else { throw .wrong }
        let token = SessionToken()
        let session = try await self.asking {
            try await $0.beginSession(of: stored.staffID, token.digest(self.secrets.hasher), by: factor)
        }
        guard let session else { throw .wrong }
        // They are in already: what of this fails is done at the next reload, or leaks away by itself.
        if let resealed = opened.flatMap({ self.secrets.resealed($0, stored) }) {
            _ = try? await self.store.reseal(resealed)
        }
        try? await self.store.forgetAttempts(attempt.own)
        return SignedIn(
            token: token, session: session, known: KnownBrowser.value(for: typed, self.secrets))
    }

    struct SignedIn: Sendable {
        var token: SessionToken
        var session: StaffSession
        /// For the cookie of that name.
        var known: String
    }

    /// What an attempt counts in. `own` is forgotten when it succeeds.
    private func attempt(
        _ typed: String, from address: String, known: String?
    ) -> (own: SignInBucket, buckets: [SignInBucket]) {
        let (email, network) = (typed.lowercased(), ClientNetwork.of(address))
        let ofNetwork = self.bucket("sign-in address \(network)", burst: 20, secondsEach: 15)
        if let browser = known.flatMap({ KnownBrowser($0, of: email, self.secrets) }) {
            let own = self.bucket("sign-in browser \(browser.number.text)", burst: 5, secondsEach: 60)
            return (own, [own, ofNetwork])
        }
        let own = self.bucket("sign-in \(email) \(network)", burst: 5, secondsEach: 60)
        // More than one network may have: many of them together try as little as this.
        return (own, [own, ofNetwork, self.bucket("sign-in email \(email)", burst: 50, secondsEach: 30)])
    }

    /// nil: `SESSION_SECRET` lacks what sealed it; that is the operator's to mend, and only they are told.
    private func open(_ stored: SealedSecret) -> SessionSecrets.Opened? {
        let opened = self.secrets.open(stored.sealed, of: stored.staffID)
        if opened == nil { StaffSeals.report([stored.staffID], self.logger) }
        return opened
    }

    private func factor(
        _ code: String, at arrivedAt: Int64, _ secret: [UInt8]?, _ proof: StaffProof
    ) -> SecondFactor? {
        if let recovery = RecoveryCode(typed: code) {
            return .recovery(recovery.digest(of: proof.member.staffID))
        }
        return secret.flatMap {
            TOTP.match(code, $0, atMilliseconds: arrivedAt, after: proof.lastStep)
        }.map { .step($0) }
    }

    /// Takes as long for somebody who does not exist.
    private func isPassword(_ password: String, _ stored: String?, _ place: SlowWork.Place) async -> Bool {
        await place.run {
            guard let stored else {
                Scrypt.pretend(password)
                return false
            }
            return Scrypt.verify(password, stored)
        }
    }

    private func bucket(_ text: String, burst: Int64, secondsEach: Int64) -> SignInBucket {
        SignInBucket(digest: self.secrets.digest(text), burst: burst, secondsEach: secondsEach)
    }

    // MARK: Sessions

    /// nil: none that still holds.
    func session(_ token: SessionToken) async throws(Refusal) -> StaffSession? {
        try await self.asking { try await $0.staffSession(token.candidates(self.secrets.hasher)) }
    }

    func signOut(_ token: SessionToken) async throws(Refusal) {
        try await self.asking { try await $0.endStaffSession(token.candidates(self.secrets.hasher)) }
    }

    // MARK: Enrolment

    /// What the invited person puts into their authenticator; the same one until the enrolment is done, or another one
    /// when that cannot be read any more.
    func beginEnrolment(
        _ token: String, from address: String
    ) async throws(Refusal) -> (member: StaffMember, secret: [UInt8]) {
        let (digest, enrolment) = try await self.invitation(token, address)
        let staff = enrolment.member.staffID
        let fresh = SymmetricKey(size: .init(bitCount: TOTP.secretBytes * 8)).withUnsafeBytes { Array($0) }
        let dead = enrolment.sealedTOTP.flatMap { sealed in
            self.open(SealedSecret(staffID: staff, sealed: sealed)) == nil ? sealed : nil
        }
        let sealed = try await self.asking {
            try await $0.beginEnrolment(
                digest, sealedTOTP: self.secrets.seal(fresh, of: staff), replacing: dead)
        }
        guard let sealed, let opened = self.open(SealedSecret(staffID: staff, sealed: sealed)) else {
            throw .wrong
        }
        return (enrolment.member, opened.secret)
    }

    enum EnrolmentFailure: Error, Sendable, Hashable {
        case refused(Refusal)
        case password(PasswordRule)
        case code
    }

    /// Sets the password; answers the recovery codes, which are shown once.
    func enrol(
        _ token: String, password: String, code: String, from address: String, request: String?
    ) async throws(EnrolmentFailure) -> (member: StaffMember, codes: [RecoveryCode]) {
        let (digest, enrolment) = try await self.refusing { () async throws(Refusal) in
            try await self.invitation(token, address)
        }
        let member = enrolment.member
        if let rule = PasswordRule.broken(by: password, of: member.email) { throw .password(rule) }
        let stored = enrolment.sealedTOTP.map { SealedSecret(staffID: member.staffID, sealed: $0) }
        guard let opened = stored.flatMap({ self.open($0) }),
            let step = TOTP.match(code, opened.secret, atMilliseconds: self.now(), after: 0)
        else { throw .code }
        let codes = (0..<RecoveryCode.count).map { _ in RecoveryCode() }
        let isDone = try await self.refusing { () async throws(Refusal) in
            let place = try self.enter()
            defer { place.leave() }
            let chosen = EnrolledSecrets(
                passwordHash: await place.run { Scrypt.usual.hash(password) },
                sealedTOTP: self.secrets.seal(opened.secret, of: member.staffID), step: step,
                recoveryDigests: codes.map { $0.digest(of: member.staffID) })
            return try await self.asking { try await $0.enrol(digest, chosen, request: request) }
        }
        guard isDone else { throw .refused(.wrong) }
        return (member, codes)
    }

    private func refusing<Value>(
        _ body: () async throws(Refusal) -> Value
    ) async throws(EnrolmentFailure) -> Value {
        do throws(Refusal) { return try await body() } catch { throw .refused(error) }
    }

    /// What is stored of an invitation's token. So many random bits need no slow hash.
    static func digest(ofInvitation token: String) -> [UInt8] { Array(SHA256.hash(data: Array(token.utf8))) }

    private func invitation(
        _ token: String, _ address: String
    ) async throws(Refusal) -> ([UInt8], StaffEnrolment) {
        let bucket = self.bucket(
            "enrolment address \(ClientNetwork.of(address))", burst: 20, secondsEach: 15)
        if case .wait(let seconds) = try await self.asking({ try await $0.admitSignIn([bucket]) }) {
            throw .wait(seconds: seconds)
        }
        let digest = Self.digest(ofInvitation: token)
        guard let enrolment = try await self.asking({ try await $0.enrolment(digest) }) else { throw .wrong }
        return (digest, enrolment)
    }

    // MARK: Dependencies

    private func asking<Value: Sendable>(
        _ body: (any StaffStore) async throws -> Value
    ) async throws(Refusal) -> Value {
        do { return try await body(self.store) } catch { throw .ledgerUnavailable }
    }

    private func enter() throws(Refusal) -> SlowWork.Place {
        do { return try self.work.enter() } catch { throw .busy }
    }
}
