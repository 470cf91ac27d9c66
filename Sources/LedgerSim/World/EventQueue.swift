/// What happens next: a binary heap by time, and by order of scheduling within one time.
struct EventQueue {
    private struct Entry {
        var at: Int64
        var number: Int64
        var run: () -> Void
    }

    private var heap: [Entry] = []
    private var scheduled: Int64 = 0

    var isEmpty: Bool { self.heap.isEmpty }
    var nextTime: Int64? { self.heap.first?.at }

    mutating func add(at time: Int64, _ run: @escaping () -> Void) {
        self.scheduled += 1
        self.heap.append(Entry(at: time, number: self.scheduled, run: run))
        var child = self.heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard Self.isBefore(self.heap[child], self.heap[parent]) else { break }
            self.heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func popFirst() -> (at: Int64, run: () -> Void)? {
        guard let first = self.heap.first else { return nil }
        let last = self.heap.removeLast()
        if !self.heap.isEmpty {
            self.heap[0] = last
            self.sink()
        }
        return (first.at, first.run)
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var least = 2 * parent + 1
            guard least < self.heap.count else { return }
            if least + 1 < self.heap.count, Self.isBefore(self.heap[least + 1], self.heap[least]) {
                least += 1
            }
            guard Self.isBefore(self.heap[least], self.heap[parent]) else { return }
            self.heap.swapAt(parent, least)
            parent = least
        }
    }

    private static func isBefore(_ left: Entry, _ right: Entry) -> Bool {
        (left.at, left.number) < (right.at, right.number)
    }
}
