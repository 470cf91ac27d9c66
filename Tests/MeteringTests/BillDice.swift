@testable import Metering

/// A body, and the most that the documentation lets upstream bill for it.
struct Bill {
    var body: String
    var input: Int64 = 0
    var output: Int64 = 0
    var characters: Int64 = 0
    var tools = ToolCalls()
    var media: RequestMedia = []
    /// What the request goes on from.
    var earlier: StoredResponse?
}

struct BillDice {
    private var body: BodyDice
    private var dice: SplitMix64

    init(seed: UInt64) {
        self.body = BodyDice(seed: seed &+ 1)
        self.dice = SplitMix64(state: seed)
    }

    mutating func flip(_ sides: Int = 2) -> Bool { Int.random(in: 0..<sides, using: &self.dice) == 0 }

    mutating func pick<Element>(_ all: [Element]) -> Element {
        all[Int.random(in: 0..<all.count, using: &self.dice)]
    }

    private mutating func number(_ range: ClosedRange<Int64>) -> Int64 {
        // The ends are where a bound breaks.
        self.pick([range.lowerBound, range.upperBound, .random(in: range, using: &self.dice)])
    }

    private mutating func text(_ count: Int64) -> String {
        String(repeating: self.pick(["x", " ", "7"]), count: Int(count))
    }

    // MARK: Prices

    mutating func row(_ endpoint: InspectedEndpoint) -> ModelPrice {
        func rate() -> Int128 { Int128(Int64.random(in: 1_000...60_000, using: &self.dice)) * 1_000_000_000 }
        func media() -> MediaRates { MediaRates(input: rate(), cachedInput: rate(), output: rate()) }
        func tier() -> TierPrice {
            let rates = TokenRates(
                input: rate(), cachedInput: rate(), cacheWrite: rate(), cacheWriteLong: rate(),
                output: rate(),
                audio: media(), image: media())
            return TierPrice(cost: rates, price: rates)
        }
        let context = self.number(300...4_000)
        let tools = Dictionary(uniqueKeysWithValues: ToolKind.allCases.map { ($0, rate() * 1000) })
        let units = UnitRates(character: endpoint == .speech ? rate() : nil, tools: tools)
        return ModelPrice(
            priceID: "c@1/m", model: "m", endpoints: [endpoint.metered], context: context,
            outputMax: endpoint == .images ? 40_000 : endpoint == .embeddings ? 0 : self.number(10...2_000),
            tiers: [.default: tier(), .priority: tier()],
            longContext: self.flip()
                ? LongContextPrice(threshold: context / 2, tiers: [.default: tier()]) : nil,
            units: UnitPrice(cost: units, price: units), onDisconnect: nil)
    }

    // MARK: Bodies

    mutating func bill(_ endpoint: InspectedEndpoint, _ row: ModelPrice) -> Bill {
        switch endpoint {
        case .chat: self.chat(row)
        case .responses: self.response(row)
        case .completions: self.completion(row)
        case .embeddings: self.embedding(row)
        case .moderations: Bill(body: self.body.object([("input", "\"x\"")]))
        case .images: self.image()
        case .speech: self.speech(row)
        case .transcriptions, .translations: preconditionFailure("their requests are forms")
        }
    }

    private mutating func chat(_ row: ModelPrice) -> Bill {
        var bill = Bill(body: "")
        let text = self.number(0...3_000)
        var parts = [#"{"type":"text","text":"\#(self.text(text))"}"#]
        // Three tokens and the role for the message, three for the answer.
        bill.input = min(text + 7, row.context)
        let choices = self.number(1...4)
        var members = [("model", "\"m\""), ("n", String(choices))]
        if self.flip(3) {
            bill.media.insert(.audioInput)
            if self.flip(4) {
                // Nobody can tell how long it is.
                parts.append(#"{"type":"input_audio","input_audio":{"data":"\#(self.text(99))"}}"#)
                bill.input = row.context
            } else {
                let seconds = self.number(1...200)
                let sound = AudioFiles.base64(InspectSoundTests.stretched(seconds: Int(seconds)))
                parts.append(#"{"type":"input_audio","input_audio":{"data":"\#(sound)"}}"#)
                // The documented ten tokens for each second.
                bill.input = min(bill.input + 10 * seconds, row.context)
            }
        }
        if self.flip(4) {
            parts.append(#"{"type":"image_url","image_url":{"url":"https://x"}}"#)
            bill.media.insert(.imageInput)
            bill.input = row.context
        }
        bill.output = choices * row.outputMax
        if self.flip(3) {
            let prediction = self.number(1...500)
            members.append(("prediction", #"{"type":"content","content":"\#(self.text(prediction))"}"#))
            bill.output += prediction
            bill.input = min(bill.input + prediction, row.context)
        } else if self.flip() {
            let cap = self.number(1...3_000)
            members.append((self.pick(["max_tokens", "max_completion_tokens"]), String(cap)))
            bill.output = choices * min(cap, row.outputMax)
        }
        if self.flip(3) {
            members.append(("modalities", #"["audio","text"]"#))
            bill.media.insert(.audioOutput)
        }
        if self.flip(4) {
            members.append(("prompt_cache_options", #"{"ttl":"12h"}"#))
            bill.media.insert(.longWrites)
        }
        if self.flip(5) {
            members.append(("web_search_options", "{}"))
            bill.tools[.webSearchPreview] = 1
            bill.input = row.context
        }
        members.append(("messages", #"[{"role":"user","content":[\#(parts.joined(separator: ","))]}]"#))
        bill.body = self.body.object(members)
        return bill
    }

    private mutating func response(_ row: ModelPrice) -> Bill {
        var bill = Bill(body: "")
        let text = self.number(0...3_000)
        // The overheads that the spec's examples show (facts C5).
        bill.input = text + 64 + 8
        bill.output = row.outputMax
        var members = [("model", "\"m\"")]
        var tools: [String] = []
        for _ in 0..<self.number(0...2) {
            tools.append(#"{"type":"function","name":"f"}"#)
            bill.input += 210
        }
        var items = [#"{"role":"user","content":"\#(self.text(text))"}"#]
        if self.flip(4) {
            items.append(
                self.pick([#"{"id":"msg_1"}"#, #"{"role":"user","content":[{"type":"input_image"}]}"#]))
            bill.media.insert(.imageInput)
            bill.input = row.context
        }
        if self.flip(4) {
            members.append(("previous_response_id", "\"resp_1\""))
            bill.media.formUnion([.imageInput, .audioInput])
            bill.input = self.goesOn(in: &bill, row)
        }
        bill.input = min(bill.input, row.context)
        var turns: Int64 = 1
        if self.flip() {
            let tool = self.pick([ToolKind.webSearch, .webSearchPreview, .fileSearch])
            tools.append(#"{"type":"\#(tool.rawValue)","vector_store_ids":["v"]}"#)
            var calls = InspectedRequest.toolCallsDefault
            if self.flip() {
                calls = self.number(0...4)
                members.append(("max_tool_calls", String(calls)))
            }
            bill.tools[tool] = calls
            turns = calls + 1
            bill.input = row.context * turns
        }
        if self.flip() {
            let cap = self.number(1...3_000)
            members.append(("max_output_tokens", String(cap)))
            // In each turn the model can write as much as it ever does.
            bill.output = min(cap, row.outputMax * turns)
        }
        members.append(("tools", "[" + tools.joined(separator: ",") + "]"))
        members.append(("input", "[" + items.joined(separator: ",") + "]"))
        bill.body = self.body.object(members)
        return bill
    }

    /// A response of the same model is read again as it was billed; of any other the context may be full.
    private mutating func goesOn(in bill: inout Bill, _ row: ModelPrice) -> Int64 {
        guard let id = ResponseID("resp_1") else { return row.context }
        let context = ContextTokens(
            input: self.number(1...row.context), output: self.number(0...row.outputMax))
        let isKnown = self.flip()
        bill.earlier = StoredResponse(
            id: id, account: 1, model: self.pick(["m", "m", "other"]), context: isKnown ? context : nil)
        guard isKnown, bill.earlier?.model == "m", let context else { return row.context }
        // Each message that was written has a frame of its own when it is read.
        return bill.input + context.input + context.output + min(context.output, 40)
    }

    private mutating func completion(_ row: ModelPrice) -> Bill {
        var bill = Bill(body: "")
        var prompts: [String] = []
        for _ in 0..<self.number(1...4) {
            let size = self.number(0...600)
            bill.input += min(size, row.context)
            let isText = self.flip()
            prompts.append(
                isText
                    ? "\"\(self.text(size))\""
                    : "[" + [String](repeating: "7", count: Int(size)).joined(separator: ",") + "]")
        }
        let (choices, best) = (self.number(1...3), self.number(1...4))
        var members = [("model", "\"m\""), ("n", String(choices)), ("best_of", String(best))]
        members.append(("prompt", "[" + prompts.joined(separator: ",") + "]"))
        var cap: Int64 = 16
        if self.flip() {
            cap = self.number(0...500)
            members.append(("max_tokens", String(cap)))
        }
        bill.output = max(choices, best) * Int64(prompts.count) * min(cap, row.outputMax)
        bill.body = self.body.object(members)
        return bill
    }

    private mutating func embedding(_ row: ModelPrice) -> Bill {
        var bill = Bill(body: "")
        var inputs: [String] = []
        for _ in 0..<self.number(1...6) {
            let size = self.number(1...(self.flip(50) ? 9_000 : 500))
            bill.input += min(size, row.context, 8192)
            inputs.append("\"\(self.text(size))\"")
        }
        bill.body = self.body.object([
            ("model", "\"m\""), ("input", "[" + inputs.joined(separator: ",") + "]"),
        ])
        return bill
    }

    private mutating func image() -> Bill {
        let (count, prompt, partial) = (self.number(1...10), self.number(1...300), self.number(0...3))
        // (members, the most that one image can cost)
        let (size, tokens): ([(String, String)], Int64) = self.pick([
            ([], 6240), ([("size", "\"1024x1024\"")], 4160),
            ([("quality", "\"auto\""), ("size", "\"1536x1024\"")], 6208),
            ([("quality", "\"low\""), ("size", "\"1024x1024\"")], 272), ([("quality", "\"medium\"")], 1584),
        ])
        let members = [
            ("model", "\"gpt-image-1.5\""), ("n", String(count)), ("partial_images", String(partial)),
            ("prompt", "\"\(self.text(prompt))\""),
        ]
        return Bill(
            body: self.body.object(members + size), input: count * min(prompt, 300),
            output: count * (tokens + 100 * partial + self.number(0...1024)), media: .imageOutput)
    }

    private mutating func speech(_ row: ModelPrice) -> Bill {
        let count = self.number(0...4096)
        let isByCharacter = self.flip()
        let body = self.body.object([
            ("model", isByCharacter ? "\"tts-1\"" : "\"gpt-4o-mini-tts\""),
            ("input", "\"\(self.text(count))\""),
        ])
        if isByCharacter { return Bill(body: body, characters: count) }
        return Bill(
            body: body, input: min(count, row.context), output: row.outputMax, characters: count,
            media: .audioOutput)
    }

    // MARK: Usages

    /// Any usage within the bill, often the largest.
    mutating func usage(of bill: Bill) -> Usage {
        var usage = Usage(input: self.number(0...bill.input), output: self.number(0...bill.output))
        func move(_ part: WritableKeyPath<Usage, Int64>, _ whole: WritableKeyPath<Usage, Int64>) {
            guard self.flip() else { return }
            let some = self.number(0...usage[keyPath: whole])
            usage[keyPath: part] += some
            usage[keyPath: whole] -= some
        }
        if bill.media.contains(.audioInput) { move(\.audio.input, \.input) }
        if bill.media.contains(.imageInput) { move(\.image.input, \.input) }
        if bill.media.contains(.longWrites) { move(\.cacheWriteLong, \.input) }
        move(\.cachedInput, \.input)
        move(\.cacheWrite, \.input)
        move(\.audio.cachedInput, \.audio.input)
        move(\.image.cachedInput, \.image.input)
        if bill.media.contains(.audioOutput) { move(\.audio.output, \.output) }
        if bill.media.contains(.imageOutput) { move(\.image.output, \.output) }
        move(\.reasoning, \.output)
        for kind in ToolKind.allCases { usage.tools[kind] = self.number(0...bill.tools[kind]) }
        usage.characters = bill.characters
        return usage
    }
}
