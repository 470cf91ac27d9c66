import Foundation
import Synchronization

/// Held as long as a store of this directory belongs to a living process; the kernel drops it when that one is
/// killed. The servers do not inherit it, so what they leave behind can be told from what is in use.
final class DirectoryLock: Sendable {
    private let path: String
    private let descriptor: Mutex<Int32?>

    /// - Throws: when another process (or another object of this one) holds it.
    init(_ path: String, program: String) throws {
        self.path = path
        while true {
            let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard descriptor >= 0 else { throw LocalStoresError.system(program, "cannot open \(path)") }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                let owner = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
                close(descriptor)
                throw LocalStoresError(
                    program: program, step: "\(path) is in use by process \(owner.isEmpty ? "?" : owner)",
                    tail: "")
            }
            // The last owner removes the file: what we locked may no longer be what stands there.
            var locked = stat()
            var standing = stat()
            if fstat(descriptor, &locked) == 0, stat(path, &standing) == 0, locked.st_ino == standing.st_ino {
                let owner = Array(String(getpid()).utf8)
                ftruncate(descriptor, 0)
                guard write(descriptor, owner, owner.count) == owner.count else {
                    close(descriptor)
                    throw LocalStoresError.system(program, "cannot write \(path)")
                }
                self.descriptor = Mutex(descriptor)
                return
            }
            close(descriptor)
        }
    }

    func release() {
        self.descriptor.withLock { descriptor in
            guard let open = descriptor else { return }
            unlink(self.path)
            close(open)
            descriptor = nil
        }
    }

    deinit { self.release() }
}
