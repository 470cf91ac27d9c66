import Metering

/// How far a person's enrolment is.
public struct StaffEnrolment: Sendable, Hashable {
    public var member: StaffMember
    /// nil: not begun.
    public var sealedTOTP: [UInt8]?

    public init(member: StaffMember, sealedTOTP: [UInt8]?) {
        self.member = member
        self.sealedTOTP = sealedTOTP
    }
}

/// What a person chose at their enrolment.
public struct EnrolledSecrets: Sendable, Hashable {
    public var passwordHash: String
    public var sealedTOTP: [UInt8]
    /// Of the code that proved it.
    public var step: Int64
    public var recoveryDigests: [[UInt8]]

    public init(passwordHash: String, sealedTOTP: [UInt8], step: Int64, recoveryDigests: [[UInt8]]) {
        self.passwordHash = passwordHash
        self.sealedTOTP = sealedTOTP
        self.step = step
        self.recoveryDigests = recoveryDigests
    }
}

/// The secret of somebody's authenticator, as it is stored.
public struct SealedSecret: Sendable, Hashable {
    public var staffID: Int64
    public var sealed: [UInt8]

    public init(staffID: Int64, sealed: [UInt8]) {
        self.staffID = staffID
        self.sealed = sealed
    }
}

/// The same secret sealed anew. It is stored only where `old` still is: whoever was reset meanwhile has another one.
public struct ResealedSecret: Sendable, Hashable {
    public var staffID: Int64
    public var old: [UInt8]
    public var new: [UInt8]

    public init(staffID: Int64, old: [UInt8], new: [UInt8]) {
        self.staffID = staffID
        self.old = old
        self.new = new
    }
}

/// Whether an attempt to sign in is looked at.
public enum SignInAdmission: Sendable, Hashable {
    case admitted
    case wait(seconds: Int64)
}

/// People of the operator's and their sessions, in the ledger: common to all instances.
public protocol StaffStore: Sendable {
    /// Counts one attempt in each of the buckets; none is counted when one of them is full.
    func admitSignIn(_ buckets: [SignInBucket]) async throws -> SignInAdmission
    /// As if the attempt had not been counted.
    func takeBackSignIn(_ buckets: [SignInBucket]) async throws
    /// Empties a bucket: its attempts were their owner's.
    func forgetAttempts(_ bucket: SignInBucket) async throws

    /// nil: nobody active of this address.
    func proof(of email: StaffEmail) async throws -> StaffProof?
    /// Uses up the second factor and begins a session, or neither. nil: the factor was used before.
    func beginSession(
        of staff: Int64, _ digest: KeyDigest, by factor: SecondFactor
    ) async throws -> StaffSession?
    /// Of a session that neither ended nor idled for too long; it is in use from now.
    func staffSession(_ digests: [KeyDigest]) async throws -> StaffSession?
    func endStaffSession(_ digests: [KeyDigest]) async throws

    /// What nobody can use any more goes: sessions that ended, and attempts that leaked away.
    func forgetEnded() async throws

    /// Of everybody who has one.
    func sealedSecrets() async throws -> [SealedSecret]
    /// false: somebody else was quicker, and nothing was changed.
    func reseal(_ secret: ResealedSecret) async throws -> Bool

    /// Of an invitation that still holds, by the digest of its token.
    func enrolment(_ digest: [UInt8]) async throws -> StaffEnrolment?
    /// Keeps the secret, unless there is one other than `replacing`; answers which it is.
    ///
    /// - Parameter replacing: one that nobody can open any more; nil: there was none.
    func beginEnrolment(
        _ digest: [UInt8], sealedTOTP: [UInt8], replacing: [UInt8]?
    ) async throws -> [UInt8]?
    /// Makes the person active. false: the invitation was used up meanwhile.
    func enrol(_ digest: [UInt8], _ secrets: EnrolledSecrets, request: String?) async throws -> Bool
}

/// A limit of attempts to sign in.
public struct SignInBucket: Sendable, Hashable {
    /// A keyed digest: what people typed is not stored.
    public var digest: KeyDigest
    /// Attempts at once.
    public var burst: Int64
    /// Then one for each of these.
    public var secondsEach: Int64

    public init(digest: KeyDigest, burst: Int64, secondsEach: Int64) {
        self.digest = digest
        self.burst = burst
        self.secondsEach = secondsEach
    }
}
