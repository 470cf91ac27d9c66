import Metering
import NIOCore

extension ReplyWriter {
    /// Lines of upstream's head that go to the client.
    static func passingFields(_ head: ResponseHead, _ bytes: ByteBuffer) -> [UInt8] {
        bytes.withUnsafeReadableBytes { raw in
            head.fields.filter { self.passes(raw, $0.name) }.flatMap { raw[$0.line] }
        }
    }

    /// What stays true of an exchange: its charge, and not the levels of limits and balance at that time.
    static func keptFields(_ facts: Facts) -> [UInt8] {
        var facts = facts
        facts.balance = nil
        facts.limits = .none
        facts.nearCaps = []
        var out = ByteBuffer()
        self.facts(facts, into: &out)
        return Array(out.readableBytesView)
    }

    /// The head of a reply that was given before; its body comes next, whole even if it was a stream.
    static func replay(
        _ reply: KeptReply, persistence: Persistence, date: HTTPDate, into out: inout ByteBuffer
    ) {
        self.statusLine(reply.status, into: &out)
        out.writeBytes(reply.fields)
        out.writeStaticString("x-tollgate-idempotent-replay: true\r\n")
        self.common(.length(reply.body.count), persistence: persistence, date: date, into: &out)
    }
}
