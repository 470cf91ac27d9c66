/// The requests that a scenario sends: a few that differ, made once, so that a run makes none.
public struct RequestPlan: Sendable {
    public let endpoint: Scenario.Endpoint
    public let templates: [Template]

    public struct Template: Sendable, Equatable {
        public let body: [UInt8]
        /// What the mock is told; a real model answers as it likes, up to this.
        public let replyTokens: Int
    }

    /// How many differ, where sizes or texts do.
    public static let templatesMax = 32

    /// - Parameter toldToMock: the message says how the mock is to answer, always in the same bytes.
    public init(_ scenario: Scenario, seed: UInt64, toldToMock: Bool) {
        var random = SeededRandom(seed: seed)
        self.endpoint = scenario.endpoint
        self.templates = (0..<Self.templatesMax).map { _ in
            let tokens = scenario.replyTokens.sample(&random)
            let directive = toldToMock ? Self.directive(scenario, tokens: tokens) : ""
            let text = Self.prose(bytes: scenario.promptBytes.sample(&random), behind: directive, &random)
            return Template(body: Array(Self.body(scenario, text, tokens).utf8), replyTokens: tokens)
        }
    }

    private static func directive(_ scenario: Scenario, tokens: Int) -> String {
        var words = "[[mock tokens=\(tokens) fixed=1"
        if scenario.firstTokenMilliseconds > 0 { words += " ttft_ms=\(scenario.firstTokenMilliseconds)" }
        if scenario.tokensPerSecond > 0 { words += " tps=\(scenario.tokensPerSecond)" }
        return words + "]] "
    }

    private static func body(_ scenario: Scenario, _ text: String, _ tokens: Int) -> String {
        let model = "\"model\":\"\(scenario.model)\""
        let usage = scenario.asksForUsage ? ",\"stream_options\":{\"include_usage\":true}" : ""
        let streamed = scenario.isStreamed ? ",\"stream\":true" : ""
        switch scenario.endpoint {
        case .chat:
            let messages =
                "[{\"role\":\"system\",\"content\":\"You are terse.\"},{\"role\":\"user\",\"content\":\"\(text)\"}]"
            return "{\(model),\"messages\":\(messages),\"max_tokens\":\(tokens)\(streamed)"
                + (scenario.isStreamed ? usage : "") + "}"
        case .responses: return "{\(model),\"input\":\"\(text)\",\"max_output_tokens\":\(tokens)\(streamed)}"
        case .completions:
            return "{\(model),\"prompt\":\"\(text)\",\"max_tokens\":\(tokens)\(streamed)"
                + (scenario.isStreamed ? usage : "") + "}"
        case .embeddings: return "{\(model),\"input\":\"\(text)\"}"
        }
    }

    private static let words = """
        a account after again all answer as at back balance because been bridge by call can charge city come could day \
        did do each even every few find first for from gate get give go good great had has have her here him his how if \
        in into is it its just keeper know large last letter like line little long look made make man many may me meter \
        money more most mountain much must name never new night no not now number of off old on one only or other our \
        out over own paper part passage people place price question read right river road said same say school see she \
        should side small so some state still story street such take tell ten than that the their them then there these \
        they thing think this those three through time to toll traveller two under up us use very wagon was water way \
        we week well went were what when where which while who why will winter with word work would write year you your
        """.split(separator: " ")

    /// English words, as tokenizers meet them; JSON leaves every character of them as it is.
    private static func prose(bytes: Int, behind directive: String, _ random: inout SeededRandom) -> String {
        var text = directive
        text.reserveCapacity(bytes + 16)
        while text.utf8.count < bytes {
            text += self.words[Int.random(in: 0..<self.words.count, using: &random)]
            text += Int.random(in: 0..<12, using: &random) == 0 ? ". " : " "
        }
        return String(text.prefix(max(bytes, directive.utf8.count)))
    }
}
