import Billing
import Metering
import Synchronization

/// People and sessions in memory. Nobody waits here; limits are tested on the ledger.
final class FakeStaff: StaffStore {
    struct State {
        var proofs: [StaffEmail: StaffProof] = [:]
        var sessions: [KeyDigest: StaffSession] = [:]
        var used: Set<SecondFactor> = []
        var enrolments: [[UInt8]: StaffEnrolment] = [:]
        var enrolled: [EnrolledSecrets] = []
        var admission = SignInAdmission.admitted
        var buckets: [SignInBucket] = []
        var takenBack: [SignInBucket] = []
        var sealed: [SealedSecret] = []
        var resealed: [ResealedSecret] = []
    }

    let state = Mutex(State())

    static func member(_ role: StaffRole) -> StaffMember {
        guard let email = StaffEmail("\(role.rawValue)@example.com") else {
            preconditionFailure("an address")
        }
        return StaffMember(
            staffID: role == .owner ? 4 : 1, email: email, name: role.rawValue, role: role, state: .active,
            createdAt: 0, signedInAt: nil)
    }

    func admitSignIn(_ buckets: [SignInBucket]) async throws -> SignInAdmission {
        self.state.withLock {
            $0.buckets = buckets
            return $0.admission
        }
    }

    func takeBackSignIn(_ buckets: [SignInBucket]) async throws {
        self.state.withLock { $0.takenBack += buckets }
    }

    func forgetAttempts(_ bucket: SignInBucket) async throws {}

    func proof(of email: StaffEmail) async throws -> StaffProof? { self.state.withLock { $0.proofs[email] } }

    func beginSession(
        of staff: Int64, _ digest: KeyDigest, by factor: SecondFactor
    ) async throws -> StaffSession? {
        self.state.withLock { state in
            guard state.used.insert(factor).inserted,
                let member = state.proofs.values.first(where: { $0.member.staffID == staff })?.member
            else { return nil }
            let session = StaffSession(member: member, expiresAt: 1)
            state.sessions[digest] = session
            return session
        }
    }

    func staffSession(_ digests: [KeyDigest]) async throws -> StaffSession? {
        let sessions = self.state.withLock { $0.sessions }
        return digests.lazy.compactMap { sessions[$0] }.first
    }

    func endStaffSession(_ digests: [KeyDigest]) async throws {
        self.state.withLock { state in for digest in digests { state.sessions[digest] = nil } }
    }

    func forgetEnded() async throws {}

    func sealedSecrets() async throws -> [SealedSecret] { self.state.withLock { $0.sealed } }

    func reseal(_ secret: ResealedSecret) async throws -> Bool {
        self.state.withLock { $0.resealed.append(secret) }
        return true
    }

    func enrolment(_ digest: [UInt8]) async throws -> StaffEnrolment? {
        self.state.withLock { $0.enrolments[digest] }
    }

    func beginEnrolment(
        _ digest: [UInt8], sealedTOTP: [UInt8], replacing: [UInt8]?
    ) async throws -> [UInt8]? {
        self.state.withLock { state in
            guard var enrolment = state.enrolments[digest] else { return nil }
            if enrolment.sealedTOTP == replacing { enrolment.sealedTOTP = sealedTOTP }
            state.enrolments[digest] = enrolment
            return enrolment.sealedTOTP
        }
    }

    func enrol(_ digest: [UInt8], _ secrets: EnrolledSecrets, request: String?) async throws -> Bool {
        self.state.withLock { state in
            guard state.enrolments.removeValue(forKey: digest) != nil else { return false }
            state.enrolled.append(secrets)
            return true
        }
    }
}
