import Testing

@testable import Proxy

@Suite struct RoundsTests {
    private final class Member {
        /// About as large as an exchange: its address is as far from its neighbour's.
        let room = Array(repeating: 0, count: 300)
    }

    private func filled(_ count: Int) -> (Rounds<Member>, [Member]) {
        var rounds = Rounds<Member>()
        let members = (0..<count).map { _ in Member() }
        for member in members { rounds.insert(member) }
        return (rounds, members)
    }

    private func turns(_ members: [Member]) -> [ObjectIdentifier: Int] {
        Dictionary(members.map { (ObjectIdentifier($0), 1) }, uniquingKeysWith: +)
    }

    @Test func inARoundEachTellsOnceAndIsLookedAtFourTimes() {
        let (rounds, members) = self.filled(777)
        let steps = 0..<Rounds<Member>.steps
        #expect(
            self.turns(steps.flatMap(rounds.oncePerRound))
                == Dictionary(uniqueKeysWithValues: members.map { (ObjectIdentifier($0), 1) }))
        #expect(
            self.turns(steps.flatMap(rounds.due))
                == Dictionary(uniqueKeysWithValues: members.map { (ObjectIdentifier($0), 4) }))
        #expect(self.turns(rounds.all).count == 777 && rounds.count == 777)
    }

    /// Between two looks at a deadline there are as many steps as between the next two.
    @Test func looksAreEvenlySpaced() {
        let (rounds, members) = self.filled(1)
        let looks = (0..<60).filter { !rounds.due(at: $0).isEmpty }
        #expect(Set(zip(looks, looks.dropFirst()).map { $1 - $0 }) == [Rounds<Member>.stepsPerLook])
        #expect(rounds.all.map(ObjectIdentifier.init) == members.map(ObjectIdentifier.init))
    }

    /// One step of thousands is a small part of them.
    @Test func noStepHasMuchMoreThanItsShare() {
        let (rounds, members) = self.filled(5000)
        let shares = (0..<Rounds<Member>.steps).map { rounds.oncePerRound(at: $0).count }
        #expect(shares.max() ?? 0 < 3 * members.count / Rounds<Member>.steps, "\(shares)")
    }

    @Test func whatIsRemovedHasNoTurn() {
        var (rounds, members) = self.filled(100)
        let gone = members.removeLast()
        let removed = [rounds.remove(gone), rounds.remove(gone)]
        #expect(removed == [true, false])
        if let first = members.first { rounds.insert(first) }
        #expect(rounds.count == 99 && rounds.all.count == 99)
        #expect(!rounds.all.contains { $0 === gone })
    }
}
