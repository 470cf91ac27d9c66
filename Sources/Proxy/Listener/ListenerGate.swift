import Glibc
import NIOCore

/// Closes a listening socket without losing a connection that has just been made.
///
/// What the kernel has accepted and the process has not is reset when a listening socket closes, with the request
/// that may already be in it. So the socket first takes nothing new, by a filter that drops every packet before the
/// handshake, and closes when what waited has been taken. A client that comes in between finds the port closed when
/// its SYN is sent again, as any balancer expects of a server that has gone.
enum ListenerGate {
    /// `struct sock_filter` and `struct sock_fprog` of <linux/filter.h>, which Glibc's module leaves out.
    private struct Instruction {
        var code: UInt16
        var jumpIfTrue: UInt8
        var jumpIfFalse: UInt8
        var value: UInt32
    }
    /// SAFETY: only read, by the kernel, while `shut` waits for it.
    private struct Program: @unchecked Sendable {
        var count: UInt16
        var instructions: UnsafeMutablePointer<Instruction>
    }

    private static let attachFilter: CInt = 26
    /// `BPF_RET | BPF_K`: accept so many bytes of the packet; none.
    private static let dropAll = Instruction(code: 0x06, jumpIfTrue: 0, jumpIfFalse: 0, value: 0)

    /// From here on no new connection is made.
    ///
    /// - Throws: what the kernel says where it does not offer it (newer ones refuse filters of the unprivileged).
    static func shut(_ listener: any Channel) async throws {
        guard let options = listener as? any SocketOptionProvider else { return }
        let instruction = UnsafeMutablePointer<Instruction>.allocate(capacity: 1)
        instruction.initialize(to: Self.dropAll)
        defer { instruction.deallocate() }
        let program = Program(count: 1, instructions: instruction)
        try await options.unsafeSetSocketOption(
            level: .socket, name: .init(rawValue: Self.attachFilter), value: program
        ).get()
    }
}
