import Foundation
import NIOCore
import NIOPosix
import NIOSSL

/// What went wrong with a connection, in few words that whoever gave the address can act on. Of few kinds, since
/// failures are counted by them.
enum FaultName {
    /// `connect: Connection refused`.
    static func connecting(_ error: any Error) -> String {
        switch error {
        case ChannelError.connectTimeout: "connect: timed out"
        case let error as NIOConnectionError: self.connecting(error)
        case let error as IOError: "connect: \(self.words(error))"
        default: "connect"
        }
    }

    private static func connecting(_ error: NIOConnectionError) -> String {
        if let first = error.connectionErrors.first { return self.connecting(first.error) }
        return error.dnsAError == nil && error.dnsAAAAError == nil ? "connect" : "connect: no such host"
    }

    /// Of one that was open.
    static func open(_ error: any Error) -> String {
        switch error {
        case let error as IOError: return "connection: \(self.words(error))"
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError: break
        default: return "connection"
        }
        if let error = error as? NIOSSLExtraError, error == .failedToValidateHostname {
            return "TLS: the certificate is for another name"
        }
        return "\(error)".contains("CERTIFICATE_VERIFY_FAILED")
            ? "TLS: the certificate is not trusted" : "TLS"
    }

    private static func words(_ error: IOError) -> String { String(cString: strerror(error.errnoCode)) }
}
