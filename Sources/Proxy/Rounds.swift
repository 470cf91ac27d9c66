import NIOCore

/// What runs on a loop, in slots that are looked at one after the other: were all of it looked at together, every token of
/// every stream would wait for that. A value; the loop's timer asks for each step of a round.
struct Rounds<Member: AnyObject> {
    /// Steps of a round, which takes a second.
    static var steps: Int { 20 }
    static var stepTime: TimeAmount { .milliseconds(1000 / Int64(Self.steps)) }
    /// Deadlines are looked at each time that so many steps are done.
    static var stepsPerLook: Int { 5 }

    private var slots: [[ObjectIdentifier: Member]] = Array(repeating: [:], count: Self.steps)
    private(set) var count = 0

    mutating func insert(_ member: Member) {
        let id = ObjectIdentifier(member)
        if self.slots[Self.slot(id)].updateValue(member, forKey: id) == nil { self.count += 1 }
    }

    /// Returns whether it was there.
    mutating func remove(_ member: Member) -> Bool {
        let id = ObjectIdentifier(member)
        guard self.slots[Self.slot(id)].removeValue(forKey: id) != nil else { return false }
        self.count -= 1
        return true
    }

    var all: [Member] { self.slots.flatMap(\.values) }

    /// Those whose turn comes once in a round.
    func oncePerRound(at step: Int) -> [Member] { Array(self.slots[step % Self.steps].values) }

    /// Those whose deadlines are looked at in this step.
    func due(at step: Int) -> [Member] {
        stride(from: step % Self.stepsPerLook, to: Self.steps, by: Self.stepsPerLook).flatMap {
            self.slots[$0].values
        }
    }

    /// The lowest bits of an object's address say nothing.
    private static func slot(_ id: ObjectIdentifier) -> Int {
        let bits = UInt(bitPattern: id)
        return Int((bits >> 4 ^ bits >> 13) % UInt(self.steps))
    }
}
