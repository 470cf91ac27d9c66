import NIOCore
import Testing

@testable import Proxy

/// The address that limits and logs go by must not be what a client claims.
@Suite struct ClientAddressTests {
    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("2001:db8::1", "2001:db8::1"), ("::1", "::1"),
        ("::", "::"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("::ffff:10.0.0.1", "10.0.0.1"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("fe80::", "fe80::"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
    ])
    func isReadAndPrinted(text: String, printed: String) {
        #expect(ClientAddress(parsing: text)?.description == printed)
    }

    @Test(arguments: [
        "", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.+4", "1.2.3.4 ", ":::", "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9", "12345::", "g::", "::1%eth0", "[::1]", "1.2.3.4:80", "::1.2.3", ":1:2:3:4:5:6:7",
        "::-0", "::+0", "::-1", "-0::", "::0x1", "::1_0", "::\u{663}", "::ffff:1.2.3.-0", "::@", "::`",
    ])
    func isNotRead(text: String) {
        #expect(ClientAddress(parsing: text) == nil)
    }

    @Test func comesFromSockets() throws {
        let v4 = ClientAddress(try SocketAddress(ipAddress: "192.0.2.7", port: 99))
        let mapped = ClientAddress(try SocketAddress(ipAddress: "::ffff:192.0.2.7", port: 1))
        #expect(v4.description == "192.0.2.7" && v4 == mapped && v4.isV4)
        #expect(
            ClientAddress(try SocketAddress(ipAddress: "2001:db8::9", port: 1)).description == "2001:db8::9")
        #expect(ClientAddress(nil).description == "::")
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("10.1.2.3", "10.1.2.3", true),
        ("10.1.2.3", "10.1.2.4", false), ("0.0.0.0/0", "203.0.113.9", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/33", "2001:db8:7fff::1", true), ("2001:db8::/33", "2001:db8:8000::1", false),
        ("::/0", "1.2.3.4", true), (" ::1 , 127.0.0.1", "127.0.0.1", true),
    ])
    func networksContain(networks: String, address: String, expected: Bool) throws {
        let client = try #require(ClientAddress(parsing: address))
        #expect(try TrustedPeers(parsing: networks).contains(client) == expected)
    }

    @Test(arguments: [
        "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "nonsense", "10.0.0.0/8/8", "::/129", "10.0.0.0/+8",
    ])
    func badNetworksNameThemselves(text: String) {
        #expect(throws: TrustedPeers.BadEntry(entry: text)) { try TrustedPeers(parsing: "127.0.0.1," + text) }
    }

    /// Peer, fields as they came, and whose request it is when 10.0.0.0/8 is trusted.
    @Test(arguments: [
        ("203.0.113.1", ["198.51.100.1"], "203.0.113.1"),  // nobody vouches for the field
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  // the client wrote 6.6.6.6 itself
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, , 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
    ])
    func forwardedAddressesAreBelievedFromTrustedPeersOnly(peer: String, fields: [String], expected: String)
        throws
    {
        let trusted = try TrustedPeers(parsing: "10.0.0.0/8")
        let lines = fields.map { "X-Forwarded-For: \($0)\r\n" }.joined()
        let text = "GET / HTTP/1.1\r\nHost: x\r\n\(lines)\r\n"
        var search = RequestHeadSearch()
        let bytes = ByteBuffer(string: text)
        guard case .complete(let head) = bytes.withUnsafeReadableBytes({ search.parse($0) }) else {
            Issue.record("the head is well formed")
            return
        }
        let request = PendingRequest(head: head, headBytes: bytes, plane: .control, bodyBytesMax: 0)
        let client = trusted.client(peer: try #require(ClientAddress(parsing: peer)), of: request)
        #expect(client.description == expected)
    }
}

/// One address must not take all connections; its neighbours and the balancers in front go on.
@Suite struct ConnectionCensusTests {
    private let a = ClientAddress(parsing: "192.0.2.1") ?? ClientAddress(nil)
    private let b = ClientAddress(parsing: "192.0.2.2") ?? ClientAddress(nil)

    @Test func countsPerAddress() {
        let census = ConnectionCensus(connectionsMax: 0, perAddressMax: 2)
        #expect(census.enter(self.a, exempt: false) && census.enter(self.a, exempt: false))
        #expect(!census.enter(self.a, exempt: false), "the third")
        #expect(census.enter(self.b, exempt: false) && census.enter(self.a, exempt: true))
        census.leave(self.a)
        census.leave(self.a)
        #expect(census.enter(self.a, exempt: false) && census.count == 3)
    }

    /// Whoever has one address of a network of IPv6 has 2^64 of them.
    @Test func countsANetworkOfIPv6AsOneAddress() throws {
        let census = ConnectionCensus(connectionsMax: 0, perAddressMax: 2)
        func enter(_ text: String) throws -> Bool {
            census.enter(try #require(ClientAddress(parsing: text)), exempt: false)
        }
        #expect(try enter("2001:db8:0:7::1") && enter("2001:db8:0:7:ffff:ffff:ffff:ffff"))
        #expect(try !enter("2001:db8:0:7:1::2"), "the third of its network")
        #expect(try enter("2001:db8:0:8::1"), "its neighbour")
        #expect(try enter("192.0.2.1") && enter("::ffff:192.0.2.1") && !enter("192.0.2.1"))
        #expect(try enter("192.0.2.2"), "IPv4 is counted by the address")
        census.leave(try #require(ClientAddress(parsing: "2001:db8:0:7::1")))
        #expect(try enter("2001:db8:0:7:1::2") && !enter("2001:db8:0:7::1"))
    }

    @Test func countsAll() {
        let census = ConnectionCensus(connectionsMax: 2, perAddressMax: 0)
        #expect(census.enter(self.a, exempt: false) && census.enter(self.b, exempt: false))
        #expect(!census.enter(self.b, exempt: true), "the whole limit binds trusted peers, too")
        census.leave(self.a)
        census.leave(self.b)
        #expect(census.count == 0)
    }
}
