import Testing

@testable import Metering

/// A document that is like the one before is taken without being read, and nobody can tell.
@Suite struct RepeatedDocumentTests {
    /// Reads documents one after the other, each in one piece, with what is alike taken at once, and without.
    struct Pair {
        var quick: ReplyScanner
        var plain: ReplyScanner
        var repeats = 0

        /// - Parameter isQuick: so much came already that documents are kept.
        init(_ shape: ReplyShape, isQuick: Bool = true) {
            let keeps: ReplyScanner.Kept = shape == .completions ? .texts : .deltas
            self.quick = ReplyScanner(shape: shape, keeps: keeps)
            self.plain = ReplyScanner(shape: shape, keeps: keeps)
            if isQuick { for _ in 1..<RepeatedDocument.worthwhile { self.quick.begin() } }
        }

        /// - Parameter tail: follows in another piece.
        /// - Returns: whether both say the same, before and behind the end.
        mutating func read(_ document: String, tail: String = "") -> Bool {
            Array(document.utf8).withUnsafeBytes { bytes in
                self.plain.begin()
                self.plain.feed(bytes)
                if self.quick.takeRepeated(bytes) {
                    self.repeats += 1
                } else {
                    self.quick.begin()
                    self.quick.feed(bytes)
                    self.quick.remember(bytes)
                }
            }
            Array(tail.utf8).withUnsafeBytes { bytes in
                self.plain.feed(bytes)
                self.quick.feed(bytes)
            }
            let isSame = Self.said(self.quick) == Self.said(self.plain)
            self.plain.finish()
            self.quick.finish()
            return isSame && Self.said(self.quick) == Self.said(self.plain)
        }

        private static func said(_ document: ReplyScanner) -> [String] {
            [
                "\(document.report as Any)", "\(document.isUsageMalformed)", "\(document.hasUsageObject)",
                "\(document.choices as Any)", "\(document.hasError)", "\(document.visibleChoices)",
                "\(document.visibleBytes)", "\(document.finishReasons)", "\(document.model.string as Any)",
                "\(document.serviceTier as Any)", "\(document.identifier.string as Any)",
                "\(document.type.string as Any)", "\(document.status.string as Any)",
                "\(document.deltaBytes)",
                "\(document.sequenceNumber as Any)", "\(document.toolCalls)", "\(document.keptOutput)",
                "\(document.isComplete)", "\(document.choiceIsVisible)",
            ]
        }
    }

    static let shapes: [(ReplyShape, String)] = [
        (
            .completions,
            #"{"id":"c","object":"chat.completion.chunk","created":7,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"TEXT"},"finish_reason":null}],"usage":null,"obfuscation":"NOISE"}"#
        ),
        (
            .completions,
            #"{"choices":[{"delta":{"content":"TEXT"},"index":0}],"created":7,"id":"c","model":"gpt-4o","object":"chat.completion.chunk"}"#
        ),
        (
            .completions,
            #"{"id":"c","choices":[{"text":"TEXT","index":0,"logprobs":null}],"model":"gpt-3.5-turbo-instruct"}"#
        ),
        (
            .completions,
            #"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"TEXT"}}]}}],"obfuscation":"NOISE"}"#
        ),
        (
            .responses,
            #"{"type":"response.output_text.delta","sequence_number":NUMBER,"item_id":"m","delta":"TEXT","logprobs":[],"obfuscation":"NOISE"}"#
        ),
        (.responses, #"{"delta":"TEXT","type":"response.output_text.delta","sequence_number":NUMBER}"#),
        (.media, #"{"type":"transcript.text.delta","delta":"TEXT"}"#),
    ]

    static func filled(_ shape: String, text: String, noise: String = "", number: String = "1") -> String {
        shape.replacing("TEXT", with: text).replacing("NOISE", with: noise).replacing("NUMBER", with: number)
    }

    @Test(arguments: shapes)
    func whatDiffersInItsTextOnlyIsTakenAtOnce(_ shape: ReplyShape, _ document: String) {
        var pair = Pair(shape)
        let texts = ["a", "bc", "", "\u{00e9}t\u{00e9} of a longer text", "x"]
        for (number, text) in texts.enumerated() {
            let next = Self.filled(
                document, text: text, noise: String(repeating: "n", count: number), number: "\(number + 8)")
            let isSame = pair.read(next)
            #expect(isSame, "\(next)")
        }
        #expect(pair.repeats == texts.count - 1)
    }

    /// A text with escapes is read, and the next one is like it all the same.
    @Test func aTextWithEscapesIsRead() {
        var pair = Pair(.completions)
        for (text, repeats) in [("a", 0), (#"\n"#, 0), ("b", 1), (#"\ud83d\ude00"#, 1), ("c", 2)] {
            let isSame = pair.read(Self.filled(Self.shapes[0].1, text: text))
            #expect(isSame && pair.repeats == repeats, "\(text)")
        }
    }

    /// What must be read: two texts, a number that is none, no text to begin with, more than is kept.
    @Test(arguments: [
        #"{"choices":[{"delta":{"content":"a","refusal":"b"}}]}"#,
        #"{"choices":[{"delta":{"content":"a"}},{"delta":{}}],"choices":[{"delta":{"content":"a"}}]}"#,
        #"{"choices":[{"delta":{"content":""}}]}"#,
        #"{"choices":[{"delta":{"content":"a"}}]"#,
        #"{"choices":[{"delta":{"content":"a"}}],"x":"\#(String(repeating: "y", count: 1100))"}"#,
    ])
    func whatIsNotPlainIsRead(_ document: String) {
        var pair = Pair(.completions)
        for _ in 0..<3 {
            let isSame = pair.read(document)
            #expect(isSame)
        }
        #expect(pair.repeats == 0)
    }

    @Test(arguments: ["-3", "1.5", "1e3", "99999999999999999999", "1234567890123456789", "007", "null"])
    func numbersSayTheSame(_ number: String) {
        var pair = Pair(.responses)
        let shape = Self.shapes[4].1
        for number in ["4", number, "5", number, number, "6"] {
            let isSame = pair.read(Self.filled(shape, text: "a", number: number))
            #expect(isSame, "\(number)")
        }
    }

    /// The last member counts, also when it is no number.
    @Test(arguments: ["-1", "1.5", "7", "99999999999999999999"])
    func aSecondNumberIsNotOverlooked(_ second: String) {
        var pair = Pair(.responses)
        for number in 5...8 {
            let isSame = pair.read(
                #"{"type":"response.output_text.delta","sequence_number":\#(number),"sequence_number":\#(second),"delta":"a"}"#
            )
            #expect(isSame, "\(number)")
        }
    }

    /// A token each second: nothing is kept. Three a second: it is, for as long as it goes on.
    @Test func aSlowStreamKeepsNothing() {
        let document = Self.filled(Self.shapes[0].1, text: "a")
        var slow = Pair(.completions, isQuick: false)
        for _ in 0..<5 {
            let isSame = slow.read(document)
            #expect(isSame && slow.repeats == 0)
            slow.quick.last.secondPassed()
        }
        var quick = Pair(.completions, isQuick: false)
        for second in 1...3 {
            for _ in 0..<RepeatedDocument.worthwhile {
                let isSame = quick.read(document)
                #expect(isSame)
            }
            #expect(quick.repeats == (second - 1) * RepeatedDocument.worthwhile)
            quick.quick.last.secondPassed()
        }
        quick.quick.last.secondPassed()
        let isSame = quick.read(document)
        #expect(isSame && quick.repeats == 2 * RepeatedDocument.worthwhile)
    }

    @Test func randomDocumentsSayTheSame() {
        let seed = UInt64.random(in: .min ... .max)
        print("repeated documents, seed \(seed)")
        var dice = SplitMix64(state: seed)
        var repeats = 0
        for _ in 0..<400 {
            guard let (shape, document) = Self.shapes.randomElement(using: &dice) else { return }
            var pair = Pair(shape)
            for _ in 0..<20 {
                let next = Self.mutated(document, &dice)
                let tail = ["", "", "", " ", "}", ",", "\"", "\n"].randomElement(using: &dice) ?? ""
                if Int.random(in: 0..<8, using: &dice) == 0 { pair.quick.last.secondPassed() }
                guard pair.read(next, tail: tail) else {
                    Issue.record("seed \(seed): \(next) + \(tail)")
                    return
                }
            }
            repeats += pair.repeats
        }
        #expect(repeats > 400)
    }

    /// The shape with something in its places, and now and then a byte or a member that is not its own.
    static func mutated(_ shape: String, _ dice: inout SplitMix64) -> String {
        let texts = [
            "a", "b c", "", #"\""#, #"\u0041"#, "\u{1f600}", "{\\\"usage\\\":1}", "long enough to count",
        ]
        var document = Self.filled(
            shape, text: texts.randomElement(using: &dice) ?? "",
            noise: ["", "x", "xyz", #"\n"#].randomElement(using: &dice) ?? "",
            number: ["1", "22", "0", "-1", "333", "4.5"].randomElement(using: &dice) ?? "1")
        switch Int.random(in: 0..<12, using: &dice) {
        case 0:
            let more = [
                #"{"error":{"message":"no"},"#, #"{"usage":{"prompt_tokens":1,"completion_tokens":2},"#,
                #"{"model":"gpt-4","#, #"{"sequence_number":3,"#, #"{"sequence_number":-3,"#,
                #"{"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}],"#,
            ]
            document.replaceSubrange(...document.startIndex, with: more.randomElement(using: &dice) ?? "{")
        case 1:
            var bytes = Array(document.utf8)
            bytes[Int.random(in: 0..<bytes.count, using: &dice)] = UInt8.random(in: 32...126, using: &dice)
            document = String(decoding: bytes, as: UTF8.self)
        case 2: document.removeLast(Int.random(in: 1...5, using: &dice))
        default: break
        }
        return document
    }
}
