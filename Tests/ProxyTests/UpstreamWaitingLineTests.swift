import NIOCore
import Testing

@testable import Proxy

/// Thousands may wait, and each of them may stop to.
@Suite struct UpstreamWaitingLineTests {
    private final class Someone: UpstreamBorrower {
        func upstreamReady(_ connection: UpstreamConnection, reused: Bool) {}
        func upstreamFailed(_ failure: UpstreamFailure) {}
        func upstreamHead(_ head: ResponseHead, bytes: ByteBuffer) {}
        func upstreamBody(_ bytes: ByteBuffer) {}
        func upstreamEnd() {}
        func upstreamReadComplete() {}
        func upstreamClosed(_ failure: UpstreamFailure) {}
    }

    @Test func whoCameFirstIsServedFirst() {
        var line = WaitingLine()
        let people = (0..<3).map { _ in Someone() }
        for someone in people { line.append(someone) }
        // A place is kept, not taken twice.
        line.append(people[0])
        line.remove(people[1])
        line.remove(people[1])
        #expect(line.count == 2)
        #expect(line.popFirst() === people[0] && line.popFirst() === people[2] && line.popFirst() == nil)
        line.append(people[1])
        #expect(line.popFirst() === people[1])
    }

    /// While a dial hangs all time out, one after the other.
    @Test func whoLeftTakesNoRoom() {
        var line = WaitingLine()
        let first = Someone()
        line.append(first)
        for _ in 0..<10_000 {
            let someone = Someone()
            line.append(someone)
            line.remove(someone)
            #expect(line.placeCount < 32)
        }
        #expect(line.popFirst() === first)
    }

    /// As a plain array would have it, whatever happens.
    @Test func itIsALineWhateverHappens() {
        let seed = UInt64.random(in: .min ... .max)
        print("UpstreamWaitingLineTests.itIsALineWhateverHappens, seed \(seed)")
        var dice = SeededRandom(seed: seed)
        let people = (0..<50).map { _ in Someone() }
        var (line, model) = (WaitingLine(), [Someone]())
        for _ in 0..<20_000 {
            let someone = people[Int.random(in: 0..<people.count, using: &dice)]
            switch Int.random(in: 0..<5, using: &dice) {
            case 0, 1:
                line.append(someone)
                if !model.contains(where: { $0 === someone }) { model.append(someone) }
            case 2:
                let expected = model.isEmpty ? nil : model.removeFirst()
                #expect(line.popFirst() === expected, "seed \(seed)")
            default:
                line.remove(someone)
                model.removeAll { $0 === someone }
            }
            #expect(line.count == model.count, "seed \(seed)")
        }
    }
}
