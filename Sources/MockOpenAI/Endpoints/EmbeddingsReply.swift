import NIOCore

extension ReplyFacts {
    /// `/v1/embeddings`: a vector for each input; three numbers, repeated as often as the dimensions ask.
    func embeddings() -> ScriptedReply {
        let inputs = prompts(tree["input"])
        let dimensions = tree["dimensions"].integer ?? (request.model.hasSuffix("large") ? 3_072 : 1_536)
        let isBase64 = tree["encoding_format"].text == "base64"
        let data = inputs.indices.map { index in
            let vector = vector(ReplySeed.scramble(seed &+ UInt64(index)), dimensions, isBase64)
            return "{\"object\":\"embedding\",\"index\":\(index),\"embedding\":\(vector)}"
        }
        var reply = ScriptedReply(behaviour, stream: false)
        let tokens = behaviour.prompt ?? min(inputs.reduce(0) { $0 + $1.tokens }, request.bodyBytes)
        let counts = TokenCounts(prompt: tokens, completion: 0)
        reply.counts = counts
        // An output that is not reported cannot be bent.
        let bends = faults.subtracting([.overCap, .hugeUsage, .negativeUsage])
        reply.usage = WireUsage.object(.embeddings, counts.bent(by: bends, cap: nil), faults)
        reply.body = ByteBuffer(
            string:
                "{\"object\":\"list\",\"data\":[\(data.joined(separator: ","))],\"model\":\"\(servedModel)\""
                + WireUsage.member(reply.usage, faults) + "}\n")
        return reply
    }

    private func vector(_ seed: UInt64, _ dimensions: Int, _ isBase64: Bool) -> String {
        let numbers = (0..<3).map { place -> Float in
            let byte = Int(seed >> UInt64(place * 8) & 0xFF)
            return Float(byte - 128) / 1_024
        }
        guard isBase64 else {
            return "[" + (0..<dimensions).map { "\(numbers[$0 % 3])" }.joined(separator: ",") + "]"
        }
        func bytes(_ count: Int) -> [UInt8] {
            numbers.prefix(count).flatMap { number -> [UInt8] in
                let bits = number.bitPattern
                return (0..<4).map { place in UInt8(truncatingIfNeeded: bits >> UInt32(place * 8)) }
            }
        }
        // Twelve bytes are sixteen characters without padding, so they can be repeated.
        let whole = String(repeating: Base64.text(bytes(3)), count: dimensions / 3)
        return "\"" + whole + Base64.text(bytes(dimensions % 3)) + "\""
    }

    /// `/v1/moderations`: no usage, and no price.
    func moderations() -> ScriptedReply {
        let input = tree["input"]
        let inputs = input.elements ?? [input]
        let isList = inputs.allSatisfy { $0.text != nil }
        let results = (isList ? inputs : [input]).map { one in
            let flagged = one.json.contains("kill")
            return """
                {"flagged":\(flagged),"categories":{"violence":\(flagged),"hate":false},"category_scores":\
                {"violence":\(flagged ? "0.9" : "0.01"),"hate":0.01},"category_applied_input_types":\
                {"violence":["text"],"hate":["text"]}}
                """
        }
        var reply = ScriptedReply(behaviour, stream: false)
        reply.body = ByteBuffer(
            string: """
                {"id":"modr-\(identity.prefix(24))","model":"\(servedModel)","results":\
                [\(results.joined(separator: ","))]}\n
                """)
        return reply
    }
}

/// RFC 4648, for the few bytes that a mock makes up.
enum Base64 {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func text(_ bytes: [UInt8]) -> String {
        var out: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = (0..<3).reduce(UInt32(0)) { sum, offset in
                sum << 8 | (offset < group.count ? UInt32(group[start + offset]) : 0)
            }
            for place in 0..<4 {
                let isPadding = place > group.count
                out.append(isPadding ? UInt8(ascii: "=") : alphabet[Int(bits >> (18 - place * 6) & 63)])
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
