import Testing

@testable import Billing

/// Our checkout sends nobody to a site that is not ours.
@Suite struct ReturnURLsTests {
    private static let allowed: Set<WebOrigin> = Set(
        [
            "https://app.example.com", "http://localhost:3000", "https://shop.example.com:8443",
            "http://[::1]:80",
        ]
        .compactMap { WebOrigin($0) })

    private func urls(
        _ success: String, cancel: String = "https://app.example.com/billing"
    ) throws(ReturnURLs.Refusal) -> ReturnURLs {
        try ReturnURLs(success: success, cancel: cancel, allowed: Self.allowed)
    }

    private func reason(_ success: String) -> ReturnURLs.Reason? {
        do throws(ReturnURLs.Refusal) {
            _ = try self.urls(success)
            return nil
        } catch {
            #expect(error.field == .successURL)
            return error.reason
        }
    }

    @Test(arguments: [
        ("https://app.example.com", "https://app.example.com/?session_id={CHECKOUT_SESSION_ID}"),
        ("https://app.example.com/ok", "https://app.example.com/ok?session_id={CHECKOUT_SESSION_ID}"),
        (
            "https://app.example.com/billing?success=true",
            "https://app.example.com/billing?success=true&session_id={CHECKOUT_SESSION_ID}"
        ),
        ("https://app.example.com?", "https://app.example.com/?session_id={CHECKOUT_SESSION_ID}"),
        ("https://app.example.com/a?b&", "https://app.example.com/a?b&session_id={CHECKOUT_SESSION_ID}"),
        ("HTTPS://APP.Example.com:443/Ok", "https://app.example.com/Ok?session_id={CHECKOUT_SESSION_ID}"),
        (
            "https://app.example.com/a?session_id={CHECKOUT_SESSION_ID}&x=%7B",
            "https://app.example.com/a?session_id={CHECKOUT_SESSION_ID}&x=%7B"
        ),
        (
            "https://shop.example.com:8443/@me?x=a@b",
            "https://shop.example.com:8443/@me?x=a@b&session_id={CHECKOUT_SESSION_ID}"
        ),
        ("http://localhost:3000/", "http://localhost:3000/?session_id={CHECKOUT_SESSION_ID}"),
        ("http://[::1]/", "http://[::1]/?session_id={CHECKOUT_SESSION_ID}"),
    ])
    func oursAreTakenAndTheSessionIsAdded(_ given: String, _ sent: String) throws {
        #expect(try self.urls(given).success == sent)
    }

    @Test(arguments: [
        "https://evil.com/", "https://app.example.com.evil.com/", "https://evilapp.example.com/",
        "https://app.example.com:444/", "https://example.com/", "https://shop.example.com/",
        "https://app.example.com%2eevil.com/", "https://xn--pp-example.com/", "http://localhost:3001/",
    ])
    func anotherOriginIsRefused(_ url: String) {
        let reason = self.reason(url)
        #expect(reason == .originNotAllowed || reason == .malformed)
    }

    @Test(arguments: [
        "https://app.example.com@evil.com/", "https://app.example.com:x@evil.com/", "//evil.com/", "/billing",
        "",
        #"https://app.example.com\@evil.com/"#, #"https://evil.com\.app.example.com/"#, #"https:\\evil.com"#,
        "https://app.example.com/\u{9}", "https://app.example.com/\n", " https://app.example.com/",
        "https://app.example.com/ ", "https://app.example.com\u{0}.evil.com/", "https:/app.example.com/",
        "https:app.example.com", "javascript:alert(1)", "data:text/html,x", "ftp://app.example.com/",
        "https://app.example.com/#@evil.com", "https://evil.com#.app.example.com/",
        "https://app.example.com./",
        "https://app..example.com/", "https://.app.example.com/", "https://app.example.com:/",
        "https://app.example.com:0/", "https://app.example.com:65979/", "https://app.example.com:+443/",
        "https://app.example.com:443:443/", "https:///evil.com", "https://?app.example.com", "https://[::1",
        "https://[::1]evil.com/", "https://[]/", "https://app.example.com/%zz", "https://app.example.com/%a",
        "https://äpp.example.com/", "https://app.example.com/ü", "https://app.example.com/<script>",
        "https://app.example.com/\"x", "https://app。example.com/", "https://app%2eexample.com/",
    ])
    func whatBrowsersMayReadDifferentlyIsRefused(_ url: String) {
        #expect(self.reason(url) == .malformed)
    }

    @Test(arguments: [
        ("https://a.example@b.example/", WebAddress.Defect.userInfo), ("https://a.example/#x", .fragment),
        ("https://a.example\\b", .forbiddenCharacter), ("ftp://a.example/", .scheme),
        ("https://a..example", .host),
        ("https://a.example:x", .port), ("https://" + String(repeating: "a", count: 2048), .tooLong),
    ])
    func whatIsWrongWithItHasAName(_ url: String, _ defect: WebAddress.Defect) {
        #expect(throws: defect) { try WebAddress(url) }
    }

    @Test func plainHTTPIsForThisMachineOnly() {
        #expect(self.reason("http://app.example.com/") == .insecure)
        #expect(self.reason("http://localhost.evil.com:3000/") == .insecure)
        #expect(self.reason("http://127.0.0.1.evil.com/") == .insecure)
        #expect(self.reason("http://127.0.0.1:3000/") == .originNotAllowed)
    }

    /// Even if somebody allowed the origin.
    @Test func plainHTTPElsewhereIsRefusedAlsoWhenAllowed() throws {
        let origin = try #require(WebOrigin("http://app.example.com"))
        let url = "http://app.example.com/"
        #expect(throws: ReturnURLs.Refusal(field: .successURL, reason: .insecure)) {
            try ReturnURLs(success: url, cancel: url, allowed: [origin])
        }
    }

    @Test(arguments: [
        "https://app.example.com/?session_id=cs_1", "https://app.example.com/?session_id",
        "https://app.example.com/?session_id={CHECKOUT_SESSION_ID}&session_id={CHECKOUT_SESSION_ID}",
        "https://app.example.com/{CHECKOUT_SESSION_ID}", "https://app.example.com/?x={y}",
        "https://app.example.com/?x=}",
    ])
    func nothingElseIsFilledIn(_ url: String) {
        #expect(self.reason(url) == .template)
    }

    @Test func theErrorNamesTheField() {
        let good = "https://app.example.com/"
        #expect(throws: ReturnURLs.Refusal(field: .cancelURL, reason: .originNotAllowed)) {
            try self.urls(good, cancel: "https://evil.com/")
        }
        #expect(throws: ReturnURLs.Refusal(field: .cancelURL, reason: .template)) {
            try self.urls(good, cancel: "https://app.example.com/?s={CHECKOUT_SESSION_ID}")
        }
    }

    @Test func anAddressIsOnlySoLong() {
        let long = "https://app.example.com/" + String(repeating: "a", count: 2048 - 24)
        #expect(self.reason(long) == nil)
        #expect(self.reason(long + "a") == .malformed)
    }

    @Test func anOriginIsNothingMore() {
        for text in [
            "https://a.example/", "https://a.example?x", "https://u@a.example", "*", "null", "a.example", "",
        ] {
            #expect(WebOrigin(text) == nil, "\(text)")
        }
        #expect(WebOrigin("https://A.example:443") == WebOrigin("https://a.example"))
        #expect(WebOrigin("http://a.example") != WebOrigin("https://a.example"))
        #expect(WebOrigin("https://a.example:8443")?.description == "https://a.example:8443")
    }
}
