import Foundation

/// Something wanted from Stripe, in one call or in several: a value that says which call comes next and reads
/// its reply, so that the same operation runs in a task or on a thread that may block. `StripeClient` runs
/// it.
public protocol StripeOperation: Sendable {
    associatedtype Output: Sendable

    /// - Parameter reply: to what was asked for last; nil at the start.
    mutating func step(after reply: StripeReply?) throws(StripeFailure) -> OperationStep<Output>
}

public enum OperationStep<Output: Sendable>: Sendable {
    case ask(StripeRequest)
    case done(Output)
}

/// An operation of one call.
public protocol StripeCall: StripeOperation where Output: StripeObject {
    var request: StripeRequest { get }
}

extension StripeCall {
    public mutating func step(after reply: StripeReply?) throws(StripeFailure) -> OperationStep<Output> {
        guard let reply else { return .ask(self.request) }
        return .done(try reply.decode(Output.self))
    }
}

/// A thing that Stripe sends.
public protocol StripeObject: Decodable, Sendable {
    /// nil for what belongs to neither mode.
    var livemode: Bool? { get }
    /// Whether all of it belongs to this mode.
    func belongs(toLivemode isLive: Bool) -> Bool
}

extension StripeObject {
    public var livemode: Bool? { nil }
    public func belongs(toLivemode isLive: Bool) -> Bool { self.livemode.map { $0 == isLive } ?? true }
}

/// A successful reply.
public struct StripeReply: Sendable {
    public var body: [UInt8]
    public var requestID: String?
    /// Of the key that asked.
    public var isLive: Bool
    /// Something has been done; a reply that cannot be read does not undo it.
    public var isToPost: Bool

    public init(body: [UInt8], requestID: String?, isLive: Bool, isToPost: Bool) {
        self.body = body
        self.requestID = requestID
        self.isLive = isLive
        self.isToPost = isToPost
    }

    public func decode<Object: StripeObject>(_: Object.Type) throws(StripeFailure) -> Object {
        let object: Object
        do {
            object = try JSONDecoder().decode(Object.self, from: Data(self.body))
        } catch {
            throw self.failure(.unreadableReply)
        }
        guard object.belongs(toLivemode: self.isLive) else { throw self.failure(.wrongLivemode) }
        return object
    }

    func failure(_ kind: StripeFailure.Kind) -> StripeFailure {
        StripeFailure(kind, requestID: self.requestID, mayHaveBeenApplied: self.isToPost)
    }
}
