import Testing

@testable import Proxy

/// What was used against other proxies is not to be used against this one, however TCP cuts it.
@Suite struct CorpusTests {
    @Test func thereAreEnoughOfThem() {
        #expect(SmugglingCorpus.requests.count >= 200 && SmugglingCorpus.responses.count >= 60)
        let names = SmugglingCorpus.requests.map(\.name)
        #expect(Set(names).count == names.count)
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

    @Test(arguments: SmugglingCorpus.requests)
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
}
