import Foundation
import Synchronization

/// Children in the order of their starts, and the directory that they work in.
final class StartedChildren: Sendable {
    private let children = Mutex<[ChildProgram]>([])
    private let stopping = Mutex(())
    private let isOver = Mutex(false)
    /// Removed when all have stopped; nil: it is kept.
    private let directory: String?

    init(directory: String?) {
        self.directory = directory
        LivingStacks.all.withLock { $0[ObjectIdentifier(self)] = self }
    }

    var all: [ChildProgram] { self.children.withLock { $0 } }

    /// What is started after the end is ended as well.
    func add(_ child: ChildProgram) {
        self.children.withLock { $0.append(child) }
        if self.isOver.withLock({ $0 }) { _ = self.stopAll() }
    }

    func forget(_ child: ChildProgram) { self.children.withLock { $0.removeAll { $0 === child } } }

    /// Last first; what fails does not keep the others from being stopped. Who comes second waits, and has nothing to do.
    func stopAll() -> [StackError] {
        self.stopping.withLock { _ in
            self.isOver.withLock { $0 = true }
            var failures: [StackError] = []
            while let child = self.children.withLock({ $0.popLast() }) {
                do throws(StackError) {
                    // The stores are given the time for a checkpoint.
                    try child.stop(seconds: 60)
                } catch {
                    failures.append(error)
                }
            }
            if let directory { try? FileManager.default.removeItem(atPath: directory) }
            LivingStacks.all.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(self)) }
            return failures
        }
    }
}

/// What a program that is interrupted has to stop.
public enum LivingStacks {
    static let all = Mutex<[ObjectIdentifier: StartedChildren]>([:])

    /// Stops every deployment that was started and removes its files.
    public static func stopAll() {
        for children in self.all.withLock({ Array($0.values) }) { _ = children.stopAll() }
    }
}
