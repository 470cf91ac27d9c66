import Crypto

/// A request with an `Idempotency-Key`, as far as two of them are compared.
public struct KeyedRequest {
    /// Two accounts with one key never meet.
    public var account: AccountID
    /// As the client sent it.
    public var key: UnsafeRawBufferPointer
    public var method: String
    /// Without the query.
    public var path: String
    /// The value of `Content-Type`.
    public var contentType: UnsafeRawBufferPointer?
    public var body: UnsafeRawBufferPointer

    public init(
        account: AccountID, key: UnsafeRawBufferPointer, method: String, path: String,
        contentType: UnsafeRawBufferPointer?, body: UnsafeRawBufferPointer
    ) {
        self.account = account
        self.key = key
        self.method = method
        self.path = path
        self.contentType = contentType
        self.body = body
    }

    private static let keyBytesMax = 255

    /// 1 to 255 visible ASCII characters.
    public static func isKey(_ bytes: UnsafeRawBufferPointer) -> Bool {
        1...self.keyBytesMax ~= bytes.count && bytes.allSatisfy { 0x21...0x7e ~= $0 }
    }
}

/// What a request with an `Idempotency-Key` is to the database, under one pepper: names that only the pepper makes, and
/// a key that opens its reply. The reply's key is made of the client's as well, so the database and the pepper together
/// cannot read what is kept.
public struct ClaimSecrets: Sendable {
    /// Names the account's key; 32 bytes.
    public let digest: [UInt8]
    /// Differs when the request does; 32 bytes. Equal requests under two keys have nothing in common.
    public let fingerprint: [UInt8]
    private let sealing: SymmetricKey

    fileprivate init(_ request: KeyedRequest, pepper: SymmetricKey) {
        var name = HMAC<SHA256>(key: pepper)
        name.update(data: Self.info("tollgate idempotency key", request))
        self.digest = Array(name.finalize())
        var print = HMAC<SHA256>(key: Self.derived("tollgate idempotency fingerprint", request, pepper))
        for text in [request.method, request.path] { Self.add(Array(text.utf8), to: &print) }
        request.forEachPiece { piece in
            Self.addLength(piece.count, to: &print)
            print.update(data: piece)
        }
        self.fingerprint = Array(print.finalize())
        self.sealing = Self.derived("tollgate idempotency reply", request, pepper)
    }

    private static func derived(
        _ purpose: String, _ request: KeyedRequest, _ pepper: SymmetricKey
    ) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: pepper, info: self.info(purpose, request), outputByteCount: 32)
    }

    /// Purpose, account and key in a form that no other three have.
    private static func info(_ purpose: String, _ request: KeyedRequest) -> [UInt8] {
        let account = (0..<8).map { UInt8(truncatingIfNeeded: request.account >> (56 - 8 * $0)) }
        return Array(purpose.utf8) + [0] + account + Array(request.key)
    }

    private static func add(_ bytes: [UInt8], to code: inout HMAC<SHA256>) {
        self.addLength(bytes.count, to: &code)
        code.update(data: bytes)
    }

    /// Pieces of another cut have another code.
    private static func addLength(_ count: Int, to code: inout HMAC<SHA256>) {
        code.update(data: (0..<8).map { UInt8(truncatingIfNeeded: count >> (56 - 8 * $0)) })
    }

    // MARK: Replies

    /// AES-256-GCM: nonce, ciphertext, tag. nil only if the library refuses.
    public func seal(_ reply: KeptReply, of hold: HoldID) -> [UInt8]? {
        let box = try? AES.GCM.seal(
            reply.encoded, using: self.sealing, authenticating: self.authenticated(hold))
        return box?.combined.map { Array($0) }
    }

    /// nil: not sealed by this pepper, for this request and run.
    public func open(_ sealed: [UInt8], of hold: HoldID) -> KeptReply? {
        guard let box = try? AES.GCM.SealedBox(combined: sealed),
            let bytes = try? AES.GCM.open(box, using: self.sealing, authenticating: self.authenticated(hold))
        else { return nil }
        return KeptReply(encoded: Array(bytes))
    }

    private func authenticated(_ hold: HoldID) -> [UInt8] {
        self.fingerprint + hold.withTextBytes { Array($0) }
    }
}

extension KeyHasher {
    /// Under each pepper that is valid, newest first. Reads the body once for each.
    public func secrets(of request: KeyedRequest) -> [ClaimSecrets] {
        self.peppers.map { ClaimSecrets(request, pepper: $0) }
    }
}

extension KeyedRequest {
    /// The body, without what differs between two sendings of one form: SDKs draw a new boundary for each.
    fileprivate func forEachPiece(_ take: (UnsafeRawBufferPointer) -> Void) {
        guard let contentType, let boundary = MultipartBoundary(contentType: contentType) else {
            return take(self.body)
        }
        // As `MultipartReader` reads it: a line break in front of the first one may be missing.
        let delimiter = [0x0d, 0x0a, 0x2d, 0x2d] + boundary.bytes
        var start = 0
        if self.body.starts(with: delimiter.dropFirst(2)) {
            take(UnsafeRawBufferPointer(rebasing: self.body[..<0]))
            start = delimiter.count - 2
        }
        var at = start
        while case let found = ByteSearch.carriageReturn(self.body, at), found < self.body.count {
            let isLineBreak = found + 1 < self.body.count && self.body[found + 1] == 0x0a
            guard isLineBreak, self.body[found...].starts(with: delimiter) else {
                at = found + 1
                continue
            }
            take(UnsafeRawBufferPointer(rebasing: self.body[start..<found]))
            start = found + delimiter.count
            at = start
        }
        take(UnsafeRawBufferPointer(rebasing: self.body[start...]))
    }
}
