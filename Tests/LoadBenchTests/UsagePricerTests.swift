import Testing

@testable import LoadBench

@Suite struct UsagePricerTests {
    private static let card = """
        markup: "2.0"
        models:
          m: {cost: {input: "0.15", cached_input: "0.075", output: "0.6"},
              long_context: {threshold: 1000, cost: {input: "0.3", output: "1"}}}
          own: {cost: {input: "1", output: "1"}, price: {input: "3"}}
        """

    @Test(arguments: [
        // 2 × (10 × 0.15 + 5 × 0.6) = 9; 2 × (5 × 0.15 + 5 × 0.075) = 2.25; halves go to the even number.
        (10, 0, 5, 9), (10, 5, 0, 2), (5, 0, 0, 2), (15, 0, 0, 4), (1000, 0, 0, 300), (1001, 0, 1, 603),
    ])
    func aPriceIsRoundedOnceAndToTheEven(_ input: Int, _ cached: Int, _ output: Int, _ due: Int64) throws {
        let pricer = try UsagePricer(rateCard: Self.card, model: "m")
        #expect(pricer.price(.init(input: input, cached: cached, output: output)) == due)
    }

    @Test func theLastReportOfABodyCounts() {
        let stream = """
            data: {"choices":[{"delta":{"content":"\\"usage\\": {"}}],"usage":null}

            data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":2}}}

            data: [DONE]


            """
        #expect(UsagePricer.usage(in: Array(stream.utf8)) == .init(input: 7, cached: 2, output: 3))
        let response =
            #"{"usage":{"input_tokens":4,"output_tokens":1,"output_tokens_details":{"reasoning_tokens":0}}}"#
        #expect(UsagePricer.usage(in: Array(response.utf8)) == .init(input: 4, cached: 0, output: 1))
        #expect(UsagePricer.usage(in: Array(#"{"usage":null}"#.utf8)) == nil)
        #expect(UsagePricer.usage(in: Array("usage".utf8)) == nil)
        let audio =
            #"{"usage":{"prompt_tokens":4,"completion_tokens":1,"prompt_tokens_details":{"audio_tokens":3}}}"#
        #expect(UsagePricer.usage(in: Array(audio.utf8)) == nil)
    }

    @Test(arguments: [("other", "model: the rate card has no other"), ("own", "prices of its own")])
    func whatItCannotComputeItRefuses(_ model: String, _ said: String) throws {
        let error = try #require(throws: ScenarioError.self) {
            _ = try UsagePricer(rateCard: Self.card, model: model)
        }
        #expect(error.description.contains(said))
    }
}
