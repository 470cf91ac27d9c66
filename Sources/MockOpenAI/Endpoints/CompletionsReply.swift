import NIOCore

extension ReplyFacts {
    /// `/v1/completions`: the text that follows each prompt, `n` times.
    func completions() -> ScriptedReply {
        let prompts = prompts(tree["prompt"])
        let perChoice = min(wantedTokens, request.cap ?? Int.max)
        let choices = request.choices * prompts.count
        let produced = max(request.choices, tree["best_of"].integer ?? 1) * prompts.count * perChoice
        let input = behaviour.prompt ?? min(prompts.reduce(0) { $0 + $1.tokens }, request.bodyBytes)
        var reply = ScriptedReply(behaviour, stream: request.stream)
        let counts = TokenCounts(prompt: input, completion: produced)
        reply.counts = counts
        reply.visible = produced
        reply.deltasTotal = choices * perChoice
        let bent = counts.bent(by: faults, cap: request.cap.map { $0 * choices })
        reply.usage = WireUsage.object(.completions, bent, faults)
        let reason = perChoice < wantedTokens ? "length" : "stop"
        let shown = tree["echo"].isTrue ? prompts : prompts.map { ("", $0.tokens) }
        if request.stream {
            reply.endsWithDone = true
            reply.events = events(shown, perChoice, reason, reply.usage)
        } else {
            let texts = (0..<choices).map { index in
                choice(
                    index, shown[index / request.choices].text + words(perChoice, from: index * perChoice),
                    reason)
            }
            reply.body = ByteBuffer(
                string: "{\(opening),\"choices\":[\(texts.joined(separator: ","))]"
                    + WireUsage.member(reply.usage, faults) + "}\n")
        }
        return reply
    }

    private var opening: String {
        """
        "id":"cmpl-\(identity.prefix(29))","object":"text_completion","created":\(created),\
        "model":"\(servedModel)"
        """
    }

    private func choice(_ index: Int, _ text: String, _ reason: String?) -> String {
        let finish = reason.map { "\"\($0)\"" } ?? "null"
        return "{\"text\":\"\(text)\",\"index\":\(index),\"logprobs\":null,\"finish_reason\":\(finish)}"
    }

    private func events(
        _ prompts: [(text: String, tokens: Int)], _ perChoice: Int, _ reason: String, _ usage: String?
    ) -> [ScriptedReply.Event] {
        let asked = tree["stream_options"]["include_usage"].isTrue
        let null = asked ? ",\"usage\":null" : ""
        func chunk(_ choices: String, _ usage: String) -> String {
            "{\(opening),\"choices\":[\(choices)]\(usage)}"
        }
        var events: [ScriptedReply.Event] = []
        let choices = request.choices * prompts.count
        for index in 0..<choices where !prompts[index / request.choices].text.isEmpty {
            let echo = choice(index, prompts[index / request.choices].text, nil)
            events.append(.init(data: chunk(echo, null)))
        }
        for piece in 0..<perChoice {
            for index in 0..<choices {
                let text = choice(index, word(index * perChoice + piece), nil)
                events.append(.init(data: chunk(text, null), kind: .delta))
            }
        }
        for index in 0..<choices { events.append(.init(data: chunk(choice(index, "", reason), null))) }
        if asked, let usage, !faults.contains(.noUsage) {
            events.append(.init(data: chunk("", ",\"usage\":\(usage)"), kind: .usage))
        }
        return events
    }

    /// A string, an array of strings, an array of token ids, or an array of such arrays.
    func prompts(_ tree: JSONTree) -> [(text: String, tokens: Int)] {
        func one(_ tree: JSONTree) -> (text: String, tokens: Int) {
            if let raw = tree.text { return (raw, max(1, (raw.utf8.count + 3) / 4)) }
            if let ids = tree.elements { return (ids.map { _ in "tok " }.joined(), ids.count) }
            return ("", 1)
        }
        guard let elements = tree.elements, elements.first?.integer == nil else { return [one(tree)] }
        return elements.isEmpty ? [("", 1)] : elements.map(one)
    }
}
