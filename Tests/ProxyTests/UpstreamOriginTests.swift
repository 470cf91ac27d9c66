import Testing

@testable import Proxy

@Suite struct UpstreamOriginTests {
    @Test(arguments: [
        ("https://api.openai.com/v1", true, "api.openai.com", 443, "/v1", "api.openai.com"),
        ("https://api.openai.com/v1/", true, "api.openai.com", 443, "/v1", "api.openai.com"),
        ("http://localhost:9000", false, "localhost", 9000, "", "localhost:9000"),
        ("http://127.0.0.1:80/v1", false, "127.0.0.1", 80, "/v1", "127.0.0.1"),
        ("https://h:80/a/b", true, "h", 80, "/a/b", "h:80"),
        ("https://[::1]:8443/v1", true, "::1", 8443, "/v1", "[::1]:8443"),
        ("http://[2001:db8::1]", false, "2001:db8::1", 80, "", "[2001:db8::1]"),
    ])
    func addressesAreRead(
        text: String, isTLS: Bool, host: String, port: Int, path: String, hostField: String
    ) throws {
        let origin = try UpstreamOrigin.parse(text)
        #expect(
            origin.isTLS == isTLS && origin.host == host && origin.port == port && origin.basePath == path)
        #expect(String(decoding: origin.hostField, as: UTF8.self) == hostField + "\r\n")
        #expect(String(decoding: origin.target(of: .chat), as: UTF8.self) == path + "/chat/completions")
    }

    @Test(arguments: [
        ("", UpstreamOrigin.ParseFailure.scheme), ("api.openai.com", .scheme), ("ftp://h", .scheme),
        ("//h", .scheme),
        ("https:/h", .scheme), ("https://", .host), ("https:///v1", .host), ("https://u:p@h/v1", .port),
        ("https://u@h/v1", .host), ("https://a b", .host), ("https://h\r\nX: y", .port),
        ("https://h\u{e9}", .host),
        ("https://::1", .host), ("https://::1:80", .host), ("https://[]", .host), ("https://[::1", .host),
        ("https://%68", .host), ("https://h:", .port), ("https://h:0", .port), ("https://h:65536", .port),
        ("https://h:+80", .port), ("https://h:-80", .port), ("https://h:80a", .port),
        ("https://h:99999999999999999999", .port),
        ("https://h/v1?x=1", .path), ("https://h?x", .path), ("https://h/v1#x", .path),
        ("https://h//v1", .path),
        ("https://h/v 1", .path), ("https://h/v1\r\n", .path),
    ])
    func otherTextIsRefusedByName(text: String, failure: UpstreamOrigin.ParseFailure) {
        #expect(throws: failure) { try UpstreamOrigin.parse(text) }
    }
}
