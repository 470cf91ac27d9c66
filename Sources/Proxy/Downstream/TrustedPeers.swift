/// Peers whose word on the client's address is believed: the load balancers in front (`TRUSTED_PROXIES`).
public struct TrustedPeers: Sendable {
    private struct Network: Sendable {
        var address: ClientAddress
        /// Of the 128 bits, IPv4 being mapped.
        var bits: Int
    }

    private var networks: [Network] = []

    /// Nobody is trusted.
    public init() {}

    /// An entry that is not an address or a network.
    public struct BadEntry: Error, Equatable, CustomStringConvertible {
        public let entry: String
        public var description: String {
            "'\(self.entry)' is not an address or a network such as 10.0.0.0/8 or 2001:db8::/32"
        }
    }

    /// Reads a comma-separated list of addresses and networks.
    public init(parsing text: String) throws(BadEntry) {
        for entry in text.split(separator: ",") {
            var entry = entry
            while let first = entry.first, first == " " { entry.removeFirst() }
            while let last = entry.last, last == " " { entry.removeLast() }
            guard let network = Self.network(entry) else { throw BadEntry(entry: String(entry)) }
            self.networks.append(network)
        }
    }

    private static func network(_ entry: Substring) -> Network? {
        let parts = entry.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let address = ClientAddress(parsing: parts[0]) else {
            return nil
        }
        var bits = 128
        if parts.count == 2 {
            let isNumber = !parts[1].isEmpty && parts[1].utf8.allSatisfy { (0x30...0x39).contains($0) }
            guard isNumber, let length = Int(parts[1]), length <= (address.isV4 ? 32 : 128) else {
                return nil
            }
            bits = address.isV4 ? 96 + length : length
        }
        return Network(address: address.prefix(bits), bits: bits)
    }

    var isEmpty: Bool { self.networks.isEmpty }

    func contains(_ address: ClientAddress) -> Bool {
        self.networks.contains { address.prefix($0.bits) == $0.address }
    }

    /// Whose request it is: the peer, or, if the peer is trusted, the last one of `X-Forwarded-For` that is not. What
    /// stands left of that one was written by somebody nobody vouches for. An entry that is not an address ends the
    /// walk at the last good one.
    func client(peer: ClientAddress, of request: PendingRequest) -> ClientAddress {
        guard !self.networks.isEmpty, self.contains(peer) else { return peer }
        var client = peer
        for value in request.values(named: "x-forwarded-for").reversed() {
            for entry in value.split(separator: ",", omittingEmptySubsequences: false).reversed() {
                guard let address = Self.forwarded(entry) else { return client }
                client = address
                guard self.contains(address) else { return client }
            }
        }
        return client
    }

    /// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`.
    private static func forwarded(_ entry: Substring) -> ClientAddress? {
        var text = entry
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            return ClientAddress(parsing: text[text.index(after: text.startIndex)..<end])
        }
        if text.contains("."), let colon = text.lastIndex(of: ":"), text.firstIndex(of: ":") == colon {
            text = text[..<colon]
        }
        return ClientAddress(parsing: text)
    }
}

extension PendingRequest {
    /// All values of a field, in the order in which they came; none after `slim`.
    ///
    /// - Parameter name: in lower case.
    func values(named name: StaticString) -> [String] {
        guard self.headBytes.readableBytes == self.head.byteCount else { return [] }
        return self.headBytes.withUnsafeReadableBytes { bytes in
            self.head.fields.compactMap { field in
                guard Characters.equal(bytes, field.name, name) else { return nil }
                return String(decoding: bytes[field.value], as: UTF8.self)
            }
        }
    }
}
