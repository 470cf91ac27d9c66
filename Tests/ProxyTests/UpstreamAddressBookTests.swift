import NIOCore
import Testing

@testable import Proxy

/// One dead address of a name must not cost every connection a time-out, nor may a changed name be missed.
@Suite struct UpstreamAddressBookTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func address(_ last: Int) throws -> SocketAddress {
        try SocketAddress(ipAddress: "192.0.2.\(last)", port: 443)
    }

    private func book(_ count: Int) throws -> AddressBook {
        var book = AddressBook()
        book.answer(try (1...count).map(self.address), self.start)
        return book
    }

    @Test func addressesTakeTurns() throws {
        var book = try self.book(3)
        var firsts: [SocketAddress?] = []
        for _ in 0..<6 { firsts.append(book.order(self.start).first) }
        #expect(try firsts == [1, 2, 3, 1, 2, 3].map(self.address))
        let all = book.order(self.start)
        #expect(all.count == 3, "the others follow, for when the first one fails")
    }

    @Test func anAddressThatFailedComesLastUntilItsTime() throws {
        var book = try self.book(2)
        book.failed(try self.address(1), self.start)
        let two = try self.address(2)
        for _ in 0..<4 {
            let first = book.order(self.start + .milliseconds(999)).first
            #expect(first == two)
        }
        let later = [book.order(self.start + .seconds(1)).first, book.order(self.start + .seconds(1)).first]
        #expect(later[0] != later[1], "it takes its turn again after a second")
    }

    @Test func pausesDoubleUpToALimitAndASuccessEndsThem() throws {
        var book = try self.book(2)
        let one = try self.address(1)
        var now = self.start
        for pause in [1, 2, 4, 8, 16, 30, 30] as [Int64] {
            book.failed(one, now)
            for _ in 0..<2 {
                let before = book.order(now + .seconds(pause) - .milliseconds(1))
                #expect(before.last == one, "not over before \(pause) s")
            }
            let firsts = [book.order(now + .seconds(pause)).first, book.order(now + .seconds(pause)).first]
            #expect(firsts.contains(one), "over after \(pause) s")
            now = now + .seconds(pause)
        }
        book.failed(one, now)
        book.succeeded(one)
        let firsts = [book.order(now).first, book.order(now).first]
        #expect(firsts.contains(one))
    }

    @Test func whenAllHaveFailedTheOneWhoseTimeComesFirstIsTried() throws {
        var book = try self.book(2)
        book.failed(try self.address(2), self.start)
        book.failed(try self.address(1), self.start + .milliseconds(10))
        let order = book.order(self.start + .milliseconds(20))
        #expect(try order == [2, 1].map(self.address))
    }

    @Test func theResolverIsAskedWhenTheAnswerIsOldOrAnAddressFailed() throws {
        var book = AddressBook()
        func asks(_ time: TimeAmount) -> Bool { book.shouldAsk(self.start + time) }
        #expect(asks(.zero))
        #expect(!asks(.milliseconds(999)), "not while it is being asked")
        book.answer([try self.address(1)], self.start)
        #expect(!asks(.seconds(29)))
        #expect(asks(.seconds(30)))
        book.answer([try self.address(1)], self.start + .seconds(30))
        book.failed(try self.address(1), self.start + .seconds(32))
        #expect(asks(.seconds(32)))
    }

    @Test func aResolverThatFailsTakesNothingAway() throws {
        var book = try self.book(2)
        book.answer([], self.start + .seconds(40))
        let kept = book.order(self.start + .seconds(40))
        #expect(kept.count == 2)
        book.answer([try self.address(9)], self.start + .seconds(41))
        let (one, nine) = (try self.address(1), try self.address(9))
        #expect(!book.lists(one) && book.lists(nine))
    }
}

@Suite struct UpstreamProxySettingTests {
    private func proxy(_ environment: [String: String], to origin: String) throws -> String? {
        try UpstreamProxy.of(try UpstreamOrigin.parse(origin)) { environment[$0] }.map {
            "\($0.host):\($0.port)"
        }
    }

    @Test(
        arguments: [
            (["HTTPS_PROXY": "http://p:3128"], "https://api.openai.com/v1", "p:3128"),
            (
                ["https_proxy": "p:3128", "HTTPS_PROXY": "http://other:1"], "https://api.openai.com/v1",
                "p:3128"
            ),
            (["HTTPS_PROXY": "http://p:3128"], "http://upstream/v1", nil),
            (["HTTP_PROXY": "http://p:3128/"], "http://upstream/v1", "p:3128"),
            (["HTTPS_PROXY": "http://p"], "https://x", "p:1080"),
            (["HTTPS_PROXY": "http://[::1]:8888"], "https://x", "::1:8888"),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"], "https://x", nil),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com"], "https://api.example.com", nil),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": ".example.com"], "https://example.com", nil),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com"], "https://notexample.com", "p:1"),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "x:444, y"], "https://x", "p:1"),
            (["HTTPS_PROXY": "http://p:1", "no_proxy": "x:443"], "https://x", nil),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"], "https://10.1.2.3", nil),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"], "https://11.1.2.3", "p:1"),
            (["HTTPS_PROXY": "", "NO_PROXY": ""], "https://x", nil),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "[::1]"], "https://[::1]", nil),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "::1"], "https://[::1]:8443", nil),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "[0:0::1]:443"], "https://[::1]", nil),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "[::1]:444"], "https://[::1]", "p:1"),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "[::1]x,[::2"], "https://[::1]", "p:1"),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.1.2.3:443"], "https://10.1.2.3", nil),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.1.2.3:444"], "https://10.1.2.3", "p:1"),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com."], "https://api.example.com", nil),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "Example.com.:443"], "https://example.COM", nil),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com"], "https://example.com.", nil),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": "y\tx\nz"], "https://x", nil),
            (["HTTPS_PROXY": "http://p:1", "NO_PROXY": ". , ,*."], "https://x", "p:1"),
        ] as [([String: String], String, String?)])
    func isReadAsCurlReadsIt(environment: [String: String], origin: String, expected: String?) throws {
        #expect(try self.proxy(environment, to: origin) == expected)
    }

    @Test func credentialsAreUnescapedAndNotPrinted() throws {
        let proxy = try #require(UpstreamProxy(parsing: "http://us%40er:p%3Aw@p:3128"))
        #expect(proxy.authorization == "Basic " + "dXNAZXI6cDp3")
        #expect(
            Base64.text(Array("a".utf8)) == "YQ==" && Base64.text(Array("ab".utf8)) == "YWI="
                && Base64.text([]).isEmpty)
    }

    @Test(arguments: [
        "socks5://p:1", "http://p:x", "http://user@p:1", "http://u:%zz@p", "http://", "http://p/path",
    ])
    func badOnesNameTheVariableOnly(value: String) {
        #expect(throws: UpstreamProxy.Problem(variable: "HTTPS_PROXY")) {
            try self.proxy(["HTTPS_PROXY": value], to: "https://x")
        }
    }
}
