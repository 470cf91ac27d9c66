import Foundation

/// Writes a file that only its owner can read; it is never visible half-written or with other permissions.
public func writePrivately(_ text: String, to path: String) throws {
    let temporary = path + ".new"
    unlink(temporary)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw LocalStoresError.system("file", "cannot write \(path)") }
    let bytes = Array(text.utf8)
    let written = write(descriptor, bytes, bytes.count)
    fsync(descriptor)
    close(descriptor)
    guard written == bytes.count, rename(temporary, path) == 0 else {
        throw LocalStoresError.system("file", "cannot write \(path)")
    }
}

/// Passwords of the private stores.
enum Secret {
    /// Letters and digits only: it stands in URLs and configuration files as it is. 40 of 62: 238 bits.
    static func random(length: Int = 40) -> String {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
        return String(
            (0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] })
    }

    /// The secret kept in `path`, made on first use, readable by its owner only.
    static func kept(in path: String) throws -> String {
        if let secret = try? String(contentsOfFile: path, encoding: .utf8), !secret.isEmpty { return secret }
        let secret = self.random()
        try writePrivately(secret, to: path)
        return secret
    }
}

/// Where a store lives.
enum StoreDirectory {
    /// The absolute path of `directory`, made when it is missing; others may enter it, the secrets in it are 0600.
    static func prepare(_ directory: String) throws -> String {
        let path = URL(fileURLWithPath: directory).standardizedFileURL.path
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        } catch {
            throw LocalStoresError(program: "directory", step: "cannot make \(path)", tail: "\(error)")
        }
        return path
    }
}
