import Foundation
import Testing

@testable import Metering

private func inspect(_ bytes: [UInt8]) -> Result<InspectedRequest, RequestRejection> {
    bytes.withUnsafeBytes { RequestInspector.inspect($0, as: .chat) }
}

/// A good request that has `value` in a place that metering does not read.
private func body(with value: [UInt8]) -> [UInt8] {
    Array(#"{"model":"m","messages":[{"role":"user","content":"x"}],"user":"#.utf8) + value + [
        UInt8(ascii: "}")
    ]
}

/// Foundation refuses numbers beyond Double, which are good JSON.
private func hasExponent(_ bytes: [UInt8]) -> Bool {
    zip(bytes, bytes.dropFirst()).contains { 0x30...0x39 ~= $0 && $1 | 0x20 == UInt8(ascii: "e") }
}

private func isInvalidJSON(_ bytes: [UInt8]) -> Bool {
    guard case .failure(let rejection) = inspect(bytes) else { return false }
    return rejection.code == .invalidJSON
}

@Suite struct InspectJSONTests {
    @Test(arguments: [
        "0", "-0", "10", "1.5", "1e400", "-1E-7", "1e+2", "99999999999999999999", "true", "false", "null",
        "\"\"",
        #""\"\\\/\b\f\n\r\t\u0041\ud83d\ude00""#, "\"é漢😀\"", "[]", "{}", " [ 1 , 2 ] ",
        "{ \"a\" : { } }\r\n\t",
        "\"\u{7f}\"", #"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}"#,
    ]) func whatTheGrammarAllowsPasses(_ value: String) throws {
        _ = try inspect(body(with: Array(value.utf8))).get()
    }

    @Test(arguments: [
        "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x1", "1 2", "Infinity", "NaN", "-a", "nul", "nulll",
        "True", "tru",
        "'a'", "\"a", #""\x""#, #""\u12g4""#, #""\u12"#, #""\ud800""#, #""\ude00""#, #""\ud800\u0041""#,
        #""\ud800x""#,
        "\"\u{1}\"", "\"\n\"", "\"\t\"", "[1,]", "[,1]", "[1 2]", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
        "{a:1}",
        "{1:1}", "[", "{", "]", "[}", "{]", "{\"a\":1]", "[1}", "1,", "\u{feff}1", "/**/1", "\u{a0}1", "",
        "{\"a\" 1}", "{\"a\"::1}", "[\"a\":1]",
    ]) func whatTheGrammarForbidsIsInvalidJSON(_ value: String) {
        #expect(isInvalidJSON(body(with: Array(value.utf8))))
    }

    @Test(
        arguments: [
            [0x80], [0xc0, 0xaf], [0xc1, 0x81], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80],
            [0xf0, 0x80, 0x80, 0x80],
            [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xff], [0xe2, 0x82], [0xc3, 0x28], [0],
        ] as [[UInt8]]) func invalidUTF8IsInvalidJSON(_ bytes: [UInt8])
    {
        #expect(isInvalidJSON(body(with: [0x22] + bytes + [0x22])))
        #expect(isInvalidJSON(body(with: [0x22] + [UInt8](repeating: 0x61, count: 13) + bytes + [0x22])))
        #expect(isInvalidJSON(body(with: [UInt8](#"{""#.utf8) + bytes + [UInt8](#"":1}"#.utf8))))
    }

    @Test func emptyTruncatedAndTrailingBytesAreInvalidJSON() {
        let good = body(with: Array("[{\"a\":\"\\u0041é\"},-1.5e3,true]".utf8))
        #expect(isInvalidJSON([]) && isInvalidJSON(Array(" \n".utf8)))
        for cut in 1..<good.count { #expect(isInvalidJSON(Array(good[..<cut])), "cut at byte \(cut)") }
        #expect(
            isInvalidJSON(good + Array("x".utf8)) && isInvalidJSON(good + good) && isInvalidJSON(good + [0]))
        #expect(isInvalidJSON([0xef, 0xbb, 0xbf] + good), "no byte order mark")
    }

    @Test(arguments: ["[]", "\"x\"", "1", "true", "null", "[{}]"]) func aBodyThatIsNoObjectIsRefused(
        _ text: String
    ) {
        guard case .failure = inspect(Array(text.utf8)) else {
            Issue.record("accepted")
            return
        }
    }

    @Test func depthIsBoundedWithoutRecursion() {
        func nested(_ depth: Int, _ open: String, _ close: String) -> [UInt8] {
            Array((String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)).utf8)
        }
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
            let levels = open.count == 1 || open.first == "{" ? 1 : 2
            // The body's own object is the first level.
            #expect(throws: Never.self) { try inspect(body(with: nested(510 / levels, open, close))).get() }
            #expect(isInvalidJSON(body(with: nested(512 / levels, open, close))))
            #expect(isInvalidJSON(body(with: nested(10_000, open, close))))
            #expect(isInvalidJSON(body(with: Array(String(repeating: open, count: 100_000).utf8))))
        }
        #expect(throws: Never.self) { try inspect(body(with: nested(511, "[", "]"))).get() }
    }

    // MARK: Duplicate keys

    @Test(arguments: [
        #"{"model":"a","model":"b"}"#, #"{"model":"a","mod\u0065l":"b"}"#, #"{"n":1,"\u006e":1}"#,
        #"{"x":{"a":1,"b":2,"a":3}}"#, #"{"x":[{"":1,"":2}]}"#, #"{"x":{"\/":1,"/":2}}"#,
        #"{"x":{"\ud83d\ude00":1,"😀":2}}"#, #"{"x":{"a":{"b":{"c":1}},"a":1}}"#,
    ]) func aDuplicateKeyAnywhereIsInvalidJSON(_ text: String) { #expect(isInvalidJSON(Array(text.utf8))) }

    @Test func aDuplicateOfAKnownKeyIsNamedAndAnUnknownOneIsNot() {
        func rejection(_ text: String) -> RequestRejection? {
            guard case .failure(let rejection) = inspect(Array(text.utf8)) else { return nil }
            return rejection
        }
        #expect(rejection(#"{"model":"a","mod\u0065l":"b"}"#)?.param == "model")
        let unknown = rejection(#"{"zebra":"a","zebra":"b"}"#)
        #expect(unknown?.param == nil && unknown?.message.contains("zebra") == false)
    }

    /// Few keys are kept in a row, many in a table; objects go from one to the other, and nest.
    @Test(arguments: [1, 2, 15, 16, 17, 18, 64, 500]) func duplicatesAreFoundAmongAnyNumberOfKeys(
        _ count: Int
    ) {
        func object(_ keys: [String]) -> String {
            "{" + keys.map { "\"\($0)\":{\"\($0)\":[{\"k\":1}]}" }.joined(separator: ",") + "}"
        }
        let keys = (0..<count).map { "key-number-\($0)" }
        #expect(throws: Never.self) { try inspect(body(with: Array(object(keys).utf8))).get() }
        let twice = "[\(object(keys)),\(object(keys))]"
        #expect(throws: Never.self) { try inspect(body(with: Array(twice.utf8))).get() }
        for index in 0..<count {
            #expect(isInvalidJSON(body(with: Array(object(keys + [keys[index]]).utf8))), "key \(index)")
        }
        let inner = object(keys).dropLast() + ",\"z\":\(object(keys)),\"z\":1}"
        #expect(isInvalidJSON(body(with: Array(inner.utf8))))
    }

    /// Ten times the keys cost ten times the time of this thread, more or less; quadratic is a hundred times, and
    /// hours.
    @Test func aMillionKeysCostAMillionLookUps() {
        func threadSeconds() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        }
        func seconds(_ count: Int) -> Double {
            var text = Array("{".utf8)
            for key in 0..<count { text += Array("\"\(key)\":0,".utf8) }
            let start = threadSeconds()
            #expect(throws: Never.self) { try inspect(body(with: text.dropLast() + Array("}".utf8))).get() }
            #expect(isInvalidJSON(body(with: text + Array("\"\(count * 7 / 9)\":0}".utf8))))
            return threadSeconds() - start
        }
        let few = seconds(100_000)
        #expect(seconds(1_000_000) < 40 * few)
    }

    // MARK: Random documents

    /// Never a crash, and nothing passes that another parser refuses.
    @Test func mutatedDocumentsAreAcceptedOnlyIfFoundationAcceptsThem() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("InspectJSONTests seed \(seed)")
        var random = JSONDice(state: seed)
        let alphabet =
            Array("{}[]:,\"\\ \n\t01.-unltrfasdb/".utf8) + [
                0, 0x1f, 0x7f, 0x80, 0xbf, 0xc3, 0xe2, 0xed, 0xf0, 0xff,
            ]
        var accepted = 0
        for round in 0..<6_000 {
            var bytes = body(with: Array(random.json(depth: 4).utf8))
            if case .failure(let rejection) = inspect(bytes) {
                Issue.record("seed \(seed) round \(round): refused a good document: \(rejection.message)")
            }
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                let byte = alphabet.randomElement(using: &random) ?? 0
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[at] = byte
                case 1: bytes.insert(byte, at: at)
                case 2: bytes.remove(at: at)
                default: bytes.swapAt(at, Int.random(in: 0..<bytes.count, using: &random))
                }
            }
            guard case .success = inspect(bytes), !hasExponent(bytes) else { continue }
            accepted += 1
            let other = try? JSONSerialization.jsonObject(with: Data(bytes))
            #expect(other != nil, "seed \(seed) round \(round): \(String(decoding: bytes, as: UTF8.self))")
        }
        #expect(accepted > 100, "the test has teeth only if some mutants are good")
    }
}

struct JSONDice: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var word = self.state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    /// A good JSON value without duplicate keys.
    mutating func json(depth: Int) -> String {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &self) {
        case 0: return ["true", "false", "null"].randomElement(using: &self) ?? "null"
        case 1: return String(Int.random(in: -1_000_000...1_000_000, using: &self))
        case 2: return "\(Int.random(in: -99...99, using: &self)).\(Int.random(in: 0...9999, using: &self))"
        case 3...5:
            let pieces = [
                "a", "word ", "\\n", "\\\"", "\\u00e9", "\\ud83d\\ude00", "é", "漢字", "😀", "\\\\",
                "longer text ",
            ]
            let count = Int.random(in: 0...6, using: &self)
            return "\"" + (0..<count).map { _ in pieces.randomElement(using: &self) ?? "" }.joined() + "\""
        case 6:
            let count = Int.random(in: 0...4, using: &self)
            return "[" + (0..<count).map { _ in self.json(depth: depth - 1) }.joined(separator: " , ") + "]"
        default:
            let count = Int.random(in: 0...20, using: &self)
            return "{"
                + (0..<count).map { "\"k\($0)\": \(self.json(depth: depth - 2))" }.joined(separator: ",")
                + "}"
        }
    }
}
