import Testing

@testable import Proxy

/// What was used against other proxies is not to be used against this one, however TCP cuts it.
@Suite struct CorpusTests {
    @Test func thereAreEnoughOfThem() {
        #expect(SmugglingCorpus.requests.count >= 200 && SmugglingCorpus.responses.count >= 60)
        let names = (SmugglingCorpus.requests + SmugglingCorpus.responses + SmugglingCorpus.headRequests).map(
            \.name)
        let twice = Dictionary(grouping: names) { $0 }.filter { $1.count > 1 }.keys
        #expect(twice.isEmpty)
    }

    private func check(_ test: SmugglingCase, _ read: ReadMessages, _ how: String) {
        switch test.expected {
        case .rejected:
            #expect(read.end == .rejected && read.messages.isEmpty, "\(test.name), \(how): \(read)")
        case .accepted(let bodies):
            #expect(
                read.messages.map { String(decoding: $0.body, as: UTF8.self) } == bodies,
                "\(test.name), \(how)")
            #expect(read.end == .clean || read.end == .closed, "\(test.name), \(how)")
        }
    }

    @Test(arguments: SmugglingCorpus.requests + SmugglingCorpus.headRequests)
    func requestsAreReadStrictly(_ test: SmugglingCase) {
        self.check(test, StrictReader.requests(test.bytes), "whole")
        self.check(test, StrictReader.requests(test.bytes, cuts: Array(1..<test.bytes.count)), "byte by byte")
        for cut in 1..<test.bytes.count {
            self.check(test, StrictReader.requests(test.bytes, cuts: [cut]), "cut at \(cut)")
        }
    }

    @Test(arguments: SmugglingCorpus.responses)
    func responsesAreReadStrictly(_ test: SmugglingCase) {
        self.check(test, StrictReader.responses(test.bytes), "whole")
        self.check(
            test, StrictReader.responses(test.bytes, cuts: Array(1..<test.bytes.count)), "byte by byte")
        for cut in 1..<test.bytes.count {
            self.check(test, StrictReader.responses(test.bytes, cuts: [cut]), "cut at \(cut)")
        }
    }

    /// A body of a HEAD is not the next request, and its reply has none.
    @Test(arguments: SmugglingCorpus.headRequests) func headIsServedWithItsBody(_ test: SmugglingCase)
        async throws
    {
        try await ServerRig.with { rig in
            let client = try await rig.connect()
            client.offer(test.bytes)
            let (first, second) = (try await client.reply(headOnly: true), try await client.reply())
            #expect(first.status == 200 && second.status == 200 && second.text == "")
            try await client.send(ServerFixtures.health)
            #expect(try await client.reply().text == "{\"ok\":true}")
            #expect(
                rig.control.watched.state.requests == ["HEAD /api/x", "GET /api/next", "GET /api/health"])
        }
    }
}
