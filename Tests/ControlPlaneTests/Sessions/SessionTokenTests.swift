import HTTPTypes
import Hummingbird
import Metering
import NIOCore
import Testing

@testable import ControlPlane

@Suite struct SessionTokenTests {
    private let hasher = KeyHasher(peppers: [Array("new session secret of 32 bytes!!".utf8)])

    @Test func tokensDifferAndAreReadAgain() throws {
        let (one, other) = (SessionToken(), SessionToken())
        #expect(one != other)
        #expect(try #require(SessionToken(one.text)) == one)
    }

    @Test(arguments: ["", "abc", String(repeating: "g", count: 64), String(repeating: "A", count: 64)])
    func nothingElseIsAToken(_ text: String) { #expect(SessionToken(text) == nil) }

    @Test func aTokenOfBeforeARotationIsStillFound() {
        let old = Array("old session secret of 32 bytes!!".utf8)
        let token = SessionToken()
        let stored = token.digest(KeyHasher(peppers: [old]))
        let rotating = KeyHasher(peppers: [Array("new session secret of 32 bytes!!".utf8), old])
        #expect(token.candidates(rotating).contains(stored))
        #expect(!token.candidates(self.hasher).contains(stored))
    }

    @Test func aFormProvesWhichSessionMadeIt() {
        let (one, other) = (SessionToken(), SessionToken())
        #expect(one.acceptsCSRF(one.csrf))
        #expect(!one.acceptsCSRF(other.csrf))
        // One digit is another, wherever it stands.
        for place in one.csrf.indices {
            var near = one.csrf
            near.replaceSubrange(place...place, with: near[place] == "0" ? "1" : "0")
            #expect(!one.acceptsCSRF(near))
        }
        #expect(!one.acceptsCSRF(""))
        #expect(!one.csrf.contains(one.text))
    }

    @Test func cookiesAreReadByName() throws {
        let token = SessionToken()
        func request(_ cookies: String...) -> Request {
            var head = HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/")
            for value in cookies { head.headerFields.append(HTTPField(name: .cookie, value: value)) }
            return Request(head: head, body: .init(buffer: ByteBuffer()))
        }
        let pair = "tollgate_portal=\(token.text)"
        #expect(SessionCookie.portal.token(in: request("a=b; \(pair)"), isSecure: false) == token)
        #expect(SessionCookie.portal.token(in: request("a=b", pair), isSecure: false) == token)
        #expect(SessionCookie.staff.token(in: request(pair), isSecure: false) == nil)
        #expect(SessionCookie.portal.token(in: request("x\(pair)"), isSecure: false) == nil)
        // Somebody planted a second one: neither is believed.
        #expect(SessionCookie.portal.token(in: request("\(pair); \(pair)"), isSecure: false) == nil)
        #expect(SessionCookie.portal.token(in: request(pair), isSecure: true) == nil)
        #expect(SessionCookie.portal.token(in: request("__Host-\(pair)"), isSecure: true) == token)
    }

    @Test func cookiesAreKeptFromScriptsAndOtherSites() {
        let field = SessionCookie.staff.setting(SessionToken().text, maxAgeSeconds: 60, isSecure: true).value
        for attribute in ["; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/", "; Max-Age=60"] {
            #expect(field.contains(attribute))
        }
        #expect(field.hasPrefix("__Host-tollgate_staff=") && !field.contains("Domain"))
        let plain = SessionCookie.staff.clearing(isSecure: false).value
        #expect(plain.hasPrefix("tollgate_staff=;") && !plain.contains("Secure"))
    }
}
