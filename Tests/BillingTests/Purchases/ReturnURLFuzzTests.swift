import Foundation
import Testing

@testable import Billing

/// Whatever we take, another reader of addresses must take for the same site.
@Suite struct ReturnURLFuzzTests {
    private static let origins = [
        "https://app.example.com", "https://shop.example.com:8443", "http://localhost:3000",
    ]
    private static let pieces: [String] = [
        "https://", "http://", "//", "/", "\\", "@", ":", "#", "?", "%2e", "%40", "%5c", ".", "evil.com",
        "app.example.com", "localhost", ":443", ":3000", "[", "]", "\t", "\u{0}", " ", "。", "é", ";", "&",
        "=", "..",
        "session_id=", ReturnURLs.template, "{", "}", "user", "\r\n",
    ]

    private func mutated(_ dice: inout PaymentDice) -> String {
        var text =
            Self.origins.randomElement(using: &dice)! + ["", "/", "/ok", "/ok?a=b"].randomElement(
                using: &dice)!
        for _ in 0..<Int.random(in: 0...3, using: &dice) {
            let at = text.indices.randomElement(using: &dice)!
            let piece = Self.pieces.randomElement(using: &dice)!
            if dice.flip() {
                text.insert(contentsOf: piece, at: at)
            } else {
                text.replaceSubrange(at...at, with: piece)
            }
        }
        return text
    }

    @Test func whatIsTakenLeadsToASiteOfOurs() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("return addresses, seed \(seed)")
        var dice = PaymentDice(state: seed)
        let allowed = Set(Self.origins.compactMap { WebOrigin($0) })
        var taken = 0
        for _ in 0..<20_000 {
            let text = self.mutated(&dice)
            guard let urls = try? ReturnURLs(success: text, cancel: Self.origins[0], allowed: allowed) else {
                continue
            }
            taken += 1
            for sent in [text, urls.success.replacing(ReturnURLs.template, with: "cs_1")] {
                let plain = sent.replacing(ReturnURLs.template, with: "cs_1")
                let read = try #require(URLComponents(string: plain), "seed \(seed): \(text)")
                let port = read.port.map { ":\($0)" }.flatMap { $0 == ":443" ? nil : $0 } ?? ""
                let origin = "\(read.scheme?.lowercased() ?? "")://\(read.host?.lowercased() ?? "")\(port)"
                #expect(Self.origins.contains(origin), "seed \(seed): \(text) is read as \(origin)")
                #expect(read.user == nil && read.fragment == nil, "seed \(seed): \(text)")
            }
            #expect(urls.success.contains("session_id=\(ReturnURLs.template)"), "seed \(seed): \(text)")
        }
        #expect(taken > 1000)
    }
}
