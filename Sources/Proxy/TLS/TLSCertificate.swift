import COpenSSL

/// A certificate chain with its key, as read from PEM files.
final class TLSCertificate: Sendable {
    // SAFETY: not changed once they are read; OpenSSL counts the references of connections.
    private nonisolated(unsafe) let leaf: OpaquePointer
    private nonisolated(unsafe) let key: OpaquePointer
    /// The certificates between leaf and root (`STACK_OF(X509)`).
    private nonisolated(unsafe) let chain: OpaquePointer
    /// DNS names of the subject alternative names, in lower case.
    let names: [String]

    /// A certificate or key that cannot be used; names the file, never its content.
    typealias Problem = ListenerCertificates.Problem

    init(certificateFile: String, keyFile: String) throws(Problem) {
        precondition(copenssl_initialize() == 1, "OpenSSL starts wherever it is installed")
        let certificates = Self.certificates(certificateFile)
        defer { for certificate in certificates ?? [] { X509_free(certificate) } }
        guard let certificates else {
            throw Problem(
                part: .certificate, file: certificateFile, reason: "is not a readable PEM certificate chain")
        }
        guard let leaf = certificates.first else {
            throw Problem(part: .certificate, file: certificateFile, reason: "holds no certificate")
        }
        guard let key = Self.key(keyFile) else {
            throw Problem(
                part: .key, file: keyFile, reason: "is not a readable PEM private key without a passphrase")
        }
        guard X509_check_private_key(leaf, key) == 1, let chain = OPENSSL_sk_new_null() else {
            ERR_clear_error()
            EVP_PKEY_free(key)
            throw Problem(part: .key, file: keyFile, reason: "does not belong to \(certificateFile)")
        }
        X509_up_ref(leaf)
        for certificate in certificates.dropFirst() {
            X509_up_ref(certificate)
            OPENSSL_sk_push(chain, UnsafeRawPointer(certificate))
        }
        (self.leaf, self.key, self.chain) = (leaf, key, chain)
        self.names = Self.names(of: leaf)
        if let reason = self.whyRefused() {
            throw Problem(
                part: .certificate, file: certificateFile, reason: "is refused by OpenSSL: \(reason)")
        }
    }

    /// OpenSSL's security level has minimal sizes of keys and signatures; nil: it would serve this one.
    private func whyRefused() -> String? {
        guard let trial = SSL_CTX_new(TLS_server_method()) else { return "no memory" }
        defer { SSL_CTX_free(trial) }
        guard SSL_CTX_use_cert_and_key(trial, self.leaf, self.key, self.chain, 1) != 1 else { return nil }
        defer { ERR_clear_error() }
        return ERR_reason_error_string(ERR_peek_last_error()).map { String(cString: $0) } ?? "unknown"
    }

    deinit {
        X509_free(self.leaf)
        EVP_PKEY_free(self.key)
        OPENSSL_sk_pop_free(self.chain) { X509_free($0.map { OpaquePointer($0) }) }
    }

    /// False when there is no memory for it.
    func use(on connection: OpaquePointer?) -> Bool {
        let isUsed =
            copenssl_use_certificate(connection, self.leaf, self.key, UnsafeMutableRawPointer(self.chain))
            == 1
        if !isUsed { ERR_clear_error() }
        return isUsed
    }

    // MARK: Reading

    /// In the file's order; nil when it is not PEM to its end. The caller owns them.
    private static func certificates(_ path: String) -> [OpaquePointer]? {
        guard let file = BIO_new_file(path, "r") else {
            ERR_clear_error()
            return nil
        }
        defer { BIO_free(file) }
        var found: [OpaquePointer] = []
        while let certificate = PEM_read_bio_X509(file, nil, copenssl_no_passphrase, nil) {
            found.append(certificate)
        }
        // Behind the last one there is none; anything else is a certificate that cannot be read.
        let isEnd = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE
        ERR_clear_error()
        if isEnd { return found }
        for certificate in found { X509_free(certificate) }
        return nil
    }

    private static func key(_ path: String) -> OpaquePointer? {
        defer { ERR_clear_error() }
        guard let file = BIO_new_file(path, "r") else { return nil }
        defer { BIO_free(file) }
        return PEM_read_bio_PrivateKey(file, nil, copenssl_no_passphrase, nil)
    }

    private static func names(of certificate: OpaquePointer) -> [String] {
        var names: [String] = []
        withUnsafeMutablePointer(to: &names) { names in
            copenssl_dns_names(certificate, names) { taker, bytes, count in
                guard let bytes, let names = taker?.assumingMemoryBound(to: [String].self) else { return }
                let name = UnsafeBufferPointer(start: bytes, count: Int(count))
                names.pointee.append(String(decoding: name, as: UTF8.self).lowercased())
            }
        }
        return names
    }
}
