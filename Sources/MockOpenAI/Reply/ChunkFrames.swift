import NIOCore

/// Produces the SSE frames of one streamed reply, one per call and in constant memory.
///
/// Order: a role frame for each choice, the deltas (choices in turn), a finish frame for each choice, the
/// usage frame if it was asked for, `[DONE]`.
struct ChunkFrames: ReplyFrames {
    private enum Step: Equatable {
        case start, role(Int), deltas, finish(Int), usage, done, end
    }

    let plan: ReplyPlan
    private(set) var deltasSent = 0
    private(set) var usageSent = false
    private var step = Step.start
    private var comment = false
    private var brokenLineSent = false
    /// `data: {"id":…,"choices":[{"index":`, written once.
    private let opening: ByteBuffer
    private let lineEnd: StaticString
    private let text: ReplyText

    init(_ plan: ReplyPlan) {
        self.plan = plan
        lineEnd =
            plan.faults.contains(.crlf) ? "\r\n\r\n" : plan.faults.contains(.carriageReturn) ? "\r\r" : "\n\n"
        text = plan.behaviour.nastyText ? ReplyText.nasty : ReplyText.plain
        var out = ByteBuffer()
        out.writeStaticString("data: {\"id\":\"chatcmpl-")
        out.writeHex(plan.identity.0)
        out.writeHex(plan.identity.1, digits: 13)
        out.writeStaticString("\",\"object\":\"chat.completion.chunk\",\"created\":")
        out.writeDecimal(plan.created)
        out.writeStaticString(",\"model\":\"")
        out.writeImmutableBuffer(plan.model)
        out.writeStaticString("\",\"service_tier\":\"")
        out.writeImmutableBuffer(plan.tier)
        out.writeStaticString("\",\"system_fingerprint\":\"fp_")
        out.writeHex(plan.seed, digits: 10)
        out.writeStaticString("\",\"choices\":[")
        opening = out
    }

    var nextIsDelta: Bool { step == .deltas && deltasSent < plan.deltasTotal }

    mutating func next(into out: inout ByteBuffer) -> ReplyFrame {
        if plan.faults.contains(.comments), step != .end {
            comment.toggle()
            if comment {
                out.writeStaticString(": keep-alive")
                out.writeStaticString(lineEnd)
                return .other
            }
        }
        switch step {
        case .start:
            if plan.faults.contains(.byteOrderMark) { out.writeBytes([0xEF, 0xBB, 0xBF] as [UInt8]) }
            if plan.faults.contains(.errorFrameFirst) {
                writeError(&out)
                return .failed
            }
            step = .role(0)
            return next(into: &out, skippingComment: true)
        case .role(let index):
            writeRole(index, &out)
            step = index + 1 < plan.choices ? .role(index + 1) : .deltas
            return .other
        case .deltas: return nextDelta(&out)
        case .finish(let index):
            writeFinish(index, &out)
            step = index + 1 < plan.choices ? .finish(index + 1) : .usage
            return .other
        case .usage:
            step = .done
            guard plan.includeUsage, plan.faults.isDisjoint(with: [.noUsage, .contentAndUsage]) else {
                return next(into: &out, skippingComment: true)
            }
            out.writeImmutableBuffer(opening)
            out.writeStaticString("]")
            writeUsage(&out)
            closeFrame(&out)
            return .other
        case .done:
            step = .end
            guard !plan.faults.contains(.noDone) else { return .end }
            out.writeStaticString("data: [DONE]")
            out.writeStaticString(lineEnd)
            return .end
        case .end: return .end
        }
    }

    private mutating func next(into out: inout ByteBuffer, skippingComment: Bool) -> ReplyFrame {
        if skippingComment { comment = plan.faults.contains(.comments) }
        return next(into: &out)
    }

    private mutating func nextDelta(_ out: inout ByteBuffer) -> ReplyFrame {
        if deltasSent == plan.faultAfter {
            if !plan.faults.isDisjoint(with: [.cut, .cutReset, .cutBody, .stall]) { return .broken }
            if plan.faults.contains(.errorFrame) {
                writeError(&out)
                return .failed
            }
            if plan.faults.contains(.malformed), !brokenLineSent {
                brokenLineSent = true
                out.writeImmutableBuffer(opening)
                out.writeStaticString("{\"index\":0,\"del")
                out.writeStaticString(lineEnd)
                return .other
            }
        }
        guard deltasSent < plan.deltasTotal else {
            step = .finish(0)
            return next(into: &out, skippingComment: true)
        }
        let index = deltasSent % plan.choices
        let piece = deltasSent / plan.choices
        openChoice(index, &out)
        if plan.toolName != nil {
            out.writeStaticString("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"")
            ReplyText.writeArgument(
                piece, of: plan.visiblePerChoice, truncated: plan.finish == .length, into: &out)
            out.writeStaticString("\"}}]}")
        } else {
            writeTextOpening(&out)
            if let pieces = plan.structured {
                out.writeString(SchemaFiller.escaped(pieces[piece]))
            } else {
                text.write(1, from: index * plan.visiblePerChoice + piece, seed: plan.seed, into: &out)
            }
            if plan.faults.contains(.big), deltasSent == plan.faultAfter { Self.writeBigText(into: &out) }
            out.writeStaticString(plan.audioPerChoice > 0 ? "\"}}" : "\"}")
        }
        deltasSent += 1
        let finishes = piece + 1 == plan.visiblePerChoice && plan.faults.contains(.contentAndUsage)
        let last = finishes && deltasSent == plan.deltasTotal
        closeChoice(finish: finishes ? plan.finish.word : nil, usage: last, &out)
        if last { step = .usage }
        return .delta
    }

    /// What is spoken comes as a transcript, its sound in the finish frame.
    private func writeTextOpening(_ out: inout ByteBuffer) {
        out.writeStaticString(
            plan.audioPerChoice > 0 ? "{\"audio\":{\"transcript\":\"" : "{\"content\":\"")
    }

    private mutating func writeRole(_ index: Int, _ out: inout ByteBuffer) {
        openChoice(index, &out)
        if let tool = plan.toolName {
            out.writeStaticString(
                "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"index\":0,\"id\":\"call_")
            out.writeHex(plan.identity.1 ^ UInt64(index))
            out.writeStaticString("\",\"type\":\"function\",\"function\":{\"name\":\"")
            out.writeImmutableBuffer(tool)
            out.writeStaticString("\",\"arguments\":\"\"}}],\"refusal\":null}")
        } else {
            out.writeStaticString("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}")
        }
        closeChoice(finish: nil, usage: false, &out)
    }

    private mutating func writeFinish(_ index: Int, _ out: inout ByteBuffer) {
        openChoice(index, &out)
        if plan.audioPerChoice > 0 {
            out.writeStaticString("{\"audio\":{\"data\":\"AAAA\",\"expires_at\":1750003600}}")
        } else if plan.searches {
            out.writeStaticString("{\"annotations\":")
            CompletionBody.writeAnnotations(&out)
            out.writeStaticString("}")
        } else {
            out.writeStaticString("{}")
        }
        // Without any delta the finish frame has to carry the usage that `content_and_usage` promises.
        let last = index + 1 == plan.choices && plan.faults.contains(.contentAndUsage)
        closeChoice(finish: plan.finish.word, usage: last, &out)
    }

    private func openChoice(_ index: Int, _ out: inout ByteBuffer) {
        out.writeImmutableBuffer(opening)
        out.writeStaticString("{\"index\":")
        out.writeDecimal(index)
        out.writeStaticString(",\"delta\":")
    }

    private mutating func closeChoice(finish: StaticString?, usage: Bool, _ out: inout ByteBuffer) {
        if let finish {
            out.writeStaticString(",\"logprobs\":null,\"finish_reason\":\"")
            out.writeStaticString(finish)
            out.writeStaticString("\"}]")
        } else {
            out.writeStaticString(",\"logprobs\":null,\"finish_reason\":null}]")
        }
        if plan.includeUsage {
            if usage, !plan.faults.contains(.noUsage) {
                writeUsage(&out)
            } else {
                out.writeStaticString(",\"usage\":null")
            }
        }
        closeFrame(&out)
    }

    private mutating func writeUsage(_ out: inout ByteBuffer) {
        usageSent = true
        out.writeStaticString(",\"usage\":")
        UsageObject(counts: plan.reported, faults: plan.faults).write(into: &out, pretty: false)
    }

    private func closeFrame(_ out: inout ByteBuffer) {
        out.writeStaticString("}")
        out.writeStaticString(lineEnd)
    }

    private func writeError(_ out: inout ByteBuffer) {
        out.writeStaticString("data: ")
        ErrorBody.serverError.write(into: &out)
        out.writeStaticString(lineEnd)
    }

    /// One mebibyte of text without a line end.
    static func writeBigText(into out: inout ByteBuffer) {
        out.writeRepeatingByte(UInt8(ascii: "x"), count: 1 << 20)
    }
}
