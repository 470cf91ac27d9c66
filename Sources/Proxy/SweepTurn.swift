import NIOCore

/// Whose turn it is on a loop. What each of its exchanges has to do once a second takes microseconds; did a
/// thousand of them do it one after the other, the tokens of all streams would wait for milliseconds.
struct SweepTurn: Equatable {
    static let perSecond: UInt = 20
    static let time = TimeAmount.milliseconds(1000 / Int64(Self.perSecond))
    /// Deadlines are looked at four times a second, all of them: that is quick.
    private static let perLook: UInt = 5

    private var number: UInt = 0

    var next: SweepTurn {
        var next = self
        next.number = (self.number + 1) % Self.perSecond
        return next
    }

    var beginsSecond: Bool { self.number == 0 }
    var looksAtDeadlines: Bool { self.number % Self.perLook == 0 }

    /// Of each object once a second.
    func isOf(_ object: AnyObject) -> Bool {
        // Addresses of objects of a kind are far from random (Knuth's multiplicative hash).
        let address = UInt(bitPattern: ObjectIdentifier(object)) &* 0x9e37_79b9_7f4a_7c15
        return (address >> 32) % Self.perSecond == self.number
    }
}
