import Billing
import COpenSSL
import Crypto
import Metering

/// Hashes of passwords by scrypt (RFC 7914), in the form `$scrypt$ln=17,r=8,p=1$SALT$HASH` with hexadecimal bytes. One
/// takes 128 MiB and some tenths of a second: to be called on a `SlowWork` thread.
struct Scrypt: Sendable {
    /// The exponent of N.
    var logN: UInt64 = 17
    var blockSize: UInt64 = 8
    var lanes: UInt64 = 1

    static let usual = Scrypt()

    private static let saltBytes = 16
    private static let hashBytes = 32

    func hash(_ password: String) -> String {
        let salt = SymmetricKey(size: .bits128).withUnsafeBytes { Array($0) }
        guard let hash = self.derive(password, salt) else {
            preconditionFailure("these parameters are within the limits that derive() gives")
        }
        return
            "$scrypt$ln=\(self.logN),r=\(self.blockSize),p=\(self.lanes)$\(Hexadecimal.text(salt))$\(Hexadecimal.text(hash))"
    }

    /// Compares to the end. A hash that cannot be read accepts nothing.
    static func verify(_ password: String, _ stored: String) -> Bool {
        let parts = stored.split(separator: "$")
        guard parts.count == 4, parts[0] == "scrypt", let cost = Scrypt(parameters: parts[1]),
            let salt = Self.bytes(parts[2]), let expected = Self.bytes(parts[3]),
            let hash = cost.derive(password, salt)
        else { return false }
        return ConstantTime.areEqual(hash, expected)
    }

    /// The work of one verification, when there is nothing to compare with.
    static func pretend(_ password: String) {
        _ = Self.usual.derive(password, [UInt8](repeating: 0, count: 16))
    }

    // MARK: Private

    init(logN: UInt64 = 17, blockSize: UInt64 = 8, lanes: UInt64 = 1) {
        self.logN = logN
        self.blockSize = blockSize
        self.lanes = lanes
    }

    private init?(parameters: Substring) {
        var values: [Substring: UInt64] = [:]
        for part in parameters.split(separator: ",") {
            let pair = part.split(separator: "=")
            guard pair.count == 2, let value = UInt64(pair[1]) else { return nil }
            values[pair[0]] = value
        }
        guard let logN = values["ln"], let blockSize = values["r"], let lanes = values["p"],
            1...20 ~= logN, 1...32 ~= blockSize, 1...16 ~= lanes
        else { return nil }
        self.init(logN: logN, blockSize: blockSize, lanes: lanes)
    }

    private func derive(_ password: String, _ salt: [UInt8]) -> [UInt8]? {
        let characters = password.utf8.map { CChar(bitPattern: $0) }
        var hash = [UInt8](repeating: 0, count: Self.hashBytes)
        let memoryMax: UInt64 = 256 << 20
        let made = EVP_PBE_scrypt(
            characters, characters.count, salt, salt.count, 1 << self.logN, self.blockSize, self.lanes,
            memoryMax,
            &hash, hash.count)
        return made == 1 ? hash : nil
    }

    private static func bytes(_ text: Substring) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 2) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).reduce(into: [UInt8]?.some([])) { bytes, index in
            let pair = String(decoding: digits[index..<index + 2], as: UTF8.self)
            guard let byte = UInt8(pair, radix: 16) else { return bytes = nil }
            bytes?.append(byte)
        }
    }
}
