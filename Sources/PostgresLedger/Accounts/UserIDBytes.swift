/// A user id as the ledger compares it: byte by byte.
///
/// `String` in Swift compares by canonical equivalence: `é` in one scalar and `é` in two are the same key of a
/// dictionary, and so are `K` and the Kelvin sign. In Postgres (`account.user_id text UNIQUE`) they are two users with
/// an account each; whoever is found in memory must be the one that is found there.
struct UserIDBytes: Sendable, Hashable {
    private let text: String

    init(_ userID: String) { self.text = userID }

    static func == (left: UserIDBytes, right: UserIDBytes) -> Bool {
        left.text.utf8.elementsEqual(right.text.utf8)
    }

    func hash(into hasher: inout Hasher) {
        let isHashed: Void? = self.text.utf8.withContiguousStorageIfAvailable {
            hasher.combine(bytes: UnsafeRawBufferPointer($0))
        }
        // A string that is not Swift's own has no contiguous bytes; equal ones must hash alike all the same.
        if isHashed == nil {
            Array(self.text.utf8).withUnsafeBytes { hasher.combine(bytes: $0) }
        }
    }
}
