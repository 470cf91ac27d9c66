import COpenSSL

/// The keys of session tickets. Whoever steals one reads the sessions of TLS 1.2 that it sealed, so each seals for half
/// a day, and opens for another half.
struct TicketKeys {
    static let sealsForSeconds = 12 * 3600

    private var current = copenssl_ticket_key.random()
    private var previous: copenssl_ticket_key?
    private var changedAt: Int

    init(now: Int) { self.changedAt = now }

    private mutating func change(_ now: Int) {
        guard now - self.changedAt >= Self.sealsForSeconds else { return }
        // A key that rested for longer opens nothing any more.
        self.previous = now - self.changedAt < 2 * Self.sealsForSeconds ? self.current : nil
        self.current = .random()
        self.changedAt = now
    }

    /// OpenSSL's answer: 1, or -1 for a failure.
    mutating func seal(
        _ name: UnsafeMutablePointer<UInt8>, _ vector: UnsafeMutablePointer<UInt8>, _ cipher: OpaquePointer?,
        _ mac: OpaquePointer?, now: Int
    ) -> Int32 {
        self.change(now)
        guard RAND_bytes(vector, 16) == 1 else { return -1 }
        withUnsafeBytes(of: &self.current.name) {
            UnsafeMutableRawPointer(name).copyMemory(from: $0.baseAddress!, byteCount: 16)
        }
        return copenssl_use_ticket_key(&self.current, vector, cipher, mac, 1)
    }

    /// OpenSSL's answer: 1, 2 when the client should get a new ticket, 0 for a key that is not known (a whole handshake
    /// follows), or -1 for a failure.
    mutating func open(
        _ name: UnsafePointer<UInt8>, _ vector: UnsafePointer<UInt8>, _ cipher: OpaquePointer?,
        _ mac: OpaquePointer?, now: Int
    ) -> Int32 {
        self.change(now)
        let isCurrent = self.current.isNamed(name)
        guard var key = isCurrent ? self.current : self.previous, key.isNamed(name) else { return 0 }
        guard copenssl_use_ticket_key(&key, vector, cipher, mac, 0) == 1 else { return -1 }
        return isCurrent ? 1 : 2
    }
}

extension copenssl_ticket_key {
    fileprivate static func random() -> Self {
        var key = Self()
        var random = SystemRandomNumberGenerator()
        withUnsafeMutableBytes(of: &key) { bytes in
            for index in bytes.indices { bytes[index] = UInt8.random(in: 0...255, using: &random) }
        }
        return key
    }

    fileprivate func isNamed(_ name: UnsafePointer<UInt8>) -> Bool {
        withUnsafeBytes(of: self.name) { $0.elementsEqual(UnsafeRawBufferPointer(start: name, count: 16)) }
    }
}
