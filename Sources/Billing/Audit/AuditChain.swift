import Crypto

/// Goes through the audit log entry by entry and computes every hash again, with nothing of the database's own.
public struct AuditChain: Sendable {
    /// What is wrong with an entry.
    public enum Fault: String, Sendable, Hashable, CaseIterable {
        /// Entries are numbered without a gap: one was taken out, put in, or moved.
        case wrongNumber = "wrong number"
        /// It does not name the hash of the entry before it.
        case wrongPrevious = "does not follow the entry before it"
        /// Its hash is not that of what it says.
        case wrongHash = "does not say what it said when it was written"
    }

    public struct Broken: Error, Sendable, Hashable {
        public var number: Int64
        public var fault: Fault
    }

    /// The number and the hash of the last good entry.
    public private(set) var number: Int64 = 0
    public private(set) var hash = Array(SHA256.hash(data: Array("tollgate audit log".utf8)))
    /// Noted hashes that were not met yet.
    public private(set) var missing: Set<[UInt8]>

    /// - Parameter heads: hashes that were noted earlier.
    public init(heads: [[UInt8]] = []) {
        self.missing = Set(heads)
        self.missing.remove(self.hash)
    }

    public mutating func add(_ entry: AuditEntry) throws(Broken) {
        guard entry.number == self.number + 1 else {
            throw Broken(number: self.number + 1, fault: .wrongNumber)
        }
        guard entry.previousHash == self.hash else {
            throw Broken(number: entry.number, fault: .wrongPrevious)
        }
        guard entry.hash == Self.hash(of: entry) else {
            throw Broken(number: entry.number, fault: .wrongHash)
        }
        self.number = entry.number
        self.hash = entry.hash
        self.missing.remove(entry.hash)
    }

    /// SHA-256 of the previous hash and of what the entry says, each part behind its length (netstrings).
    static func hash(of entry: AuditEntry) -> [UInt8] {
        var hasher = SHA256()
        hasher.update(data: entry.previousHash)
        for part in [
            String(entry.number), String(entry.at), entry.actor, entry.action, entry.subject, entry.before,
            entry.after, entry.reason, entry.request ?? "",
        ] {
            hasher.update(data: Array("\(part.utf8.count):\(part),".utf8))
        }
        return Array(hasher.finalize())
    }
}

/// What going through the audit log came to.
public struct AuditVerdict: Sendable, Hashable {
    public enum Problem: Sendable, Hashable {
        case broken(number: Int64, AuditChain.Fault)
        /// The log ends elsewhere than its head says: its end was cut off, or written past the database's function.
        case wrongHead(number: Int64)
        /// A hash that was noted earlier is of no entry: the log was cut, or written anew.
        case unknownHead(String)
    }

    /// Good entries from the first on.
    public var entries: Int64
    /// Of the last good one; hexadecimal.
    public var head: String
    public var problems: [Problem]

    public init(entries: Int64, head: String, problems: [Problem]) {
        self.entries = entries
        self.head = head
        self.problems = problems
    }

    public var isWhole: Bool { self.problems.isEmpty }
}

extension AuditVerdict.Problem: CustomStringConvertible {
    public var description: String {
        switch self {
        case .broken(let number, let fault): "entry \(number): \(fault.rawValue)"
        case .wrongHead(let number): "the log does not end with entry \(number), as its head says"
        case .unknownHead(let hash): "no entry has the hash \(hash): the log was cut off, or written anew"
        }
    }
}
