import Testing

@testable import Proxy

@Suite struct KernelRandomTests {
    /// Ids are made of these: neither within what was taken at once nor across it does one come again.
    @Test func noNumberComesTwice() {
        var random = KernelRandom()
        let numbers = (0..<5000).map { _ in random.next() }
        #expect(Set(numbers).count == numbers.count)
        var other = KernelRandom()
        #expect(!numbers.contains(other.next()))
        // Of each bit about half are set.
        for bit in 0..<64 {
            let set = numbers.count { $0 >> UInt64(bit) & 1 == 1 }
            #expect((2100...2900).contains(set), "bit \(bit)")
        }
    }
}
