import Metering

/// A person of the operator's, as the ledger keeps them.
public struct StaffMember: Sendable, Hashable {
    public enum State: String, Sendable, Hashable, CaseIterable {
        /// Has no password yet.
        case invited
        case active
        case disabled
    }

    public var staffID: Int64
    public var email: StaffEmail
    /// As the audit log names them, behind `staff:`.
    public var name: String
    public var role: StaffRole
    public var state: State
    /// Milliseconds since 1970.
    public var createdAt: Int64
    public var signedInAt: Int64?

    public init(
        staffID: Int64, email: StaffEmail, name: String, role: StaffRole, state: State, createdAt: Int64,
        signedInAt: Int64?
    ) {
        self.staffID = staffID
        self.email = email
        self.name = name
        self.role = role
        self.state = state
        self.createdAt = createdAt
        self.signedInAt = signedInAt
    }

    /// What the audit log calls them.
    public var actor: String { "staff:\(self.name)" }

    /// Lower-case letters, digits, dots and dashes, so that an entry of the audit log can be read in one way only.
    public static func isValidName(_ name: String) -> Bool {
        1...64 ~= name.utf8.count
            && name.utf8.allSatisfy {
                0x61...0x7a ~= $0 || 0x30...0x39 ~= $0 || $0 == 0x2d || $0 == 0x2e || $0 == 0x5f
            }
    }
}

/// What a sign-in is compared with.
public struct StaffProof: Sendable, Hashable {
    public var member: StaffMember
    /// With the parameters of its function.
    public var passwordHash: String
    public var sealedTOTP: [UInt8]
    /// The newest step whose code was accepted.
    public var lastStep: Int64

    public init(member: StaffMember, passwordHash: String, sealedTOTP: [UInt8], lastStep: Int64) {
        self.member = member
        self.passwordHash = passwordHash
        self.sealedTOTP = sealedTOTP
        self.lastStep = lastStep
    }
}

/// Someone who is signed in.
public struct StaffSession: Sendable, Hashable {
    public var member: StaffMember
    /// Milliseconds since 1970.
    public var expiresAt: Int64

    public init(member: StaffMember, expiresAt: Int64) {
        self.member = member
        self.expiresAt = expiresAt
    }
}

/// How a second factor was shown; each is accepted once.
public enum SecondFactor: Sendable, Hashable {
    /// A code of this step.
    case step(Int64)
    /// Digest of a recovery code.
    case recovery([UInt8])
}
