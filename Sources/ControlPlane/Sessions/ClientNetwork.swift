import Foundation

/// Whom a limit of attempts counts: an address of IPv4, or the /64 network of one of IPv6, all of whose addresses one
/// host may take in turn.
enum ClientNetwork {
    /// - Parameter address: as a socket tells it; a zone (`%eth0`) does not count. What is no address stands for itself.
    static func of(_ address: String) -> String {
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, String(address.prefix { $0 != "%" }), &v6) == 1 else { return address }
        let bytes = withUnsafeBytes(of: v6) { Array($0) }
        if bytes.starts(with: Self.mappedPrefix) {
            return bytes.suffix(4).map(String.init).joined(separator: ".")
        }
        let groups = stride(from: 0, to: 8, by: 2).map {
            String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16)
        }
        return groups.joined(separator: ":") + "::/64"
    }

    /// `::ffff:0:0/96`: IPv4 by a socket that speaks both.
    private static let mappedPrefix = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]
}
