import NIOCore

extension ReplyFacts {
    /// `/v1/images/generations`, with the usage that gpt-image models report.
    func images() -> ScriptedReply {
        let quality = tree["quality"].text ?? "medium"
        let size = tree["size"].text ?? "1024x1024"
        let base = quality == "low" ? 272 : quality == "high" ? 4_160 : 1_056
        let tokens = (size == "1024x1024" || size == "auto" ? base : base * 3 / 2) * request.choices
        let input = promptTokens(textBytes: tree["prompt"].textBytes) * request.choices
        let partials = request.stream ? tree["partial_images"].integer ?? 0 : 0
        var counts = TokenCounts(prompt: input, completion: tokens + 100 * partials)
        counts.outputImage = counts.completion
        var reply = ScriptedReply(behaviour, stream: request.stream)
        reply.counts = counts
        reply.visible = counts.completion
        reply.deltasTotal = partials
        reply.usage = WireUsage.object(.images, counts.bent(by: faults, cap: nil), faults)
        let tail = """
            "background":"opaque","output_format":"png","quality":"\(quality)","size":"\(size)"\
            \(WireUsage.member(reply.usage, faults))
            """
        if request.stream {
            let facts = "\"b64_json\":\"iVBORw0K\",\"created_at\":\(created)"
            reply.events = (0..<partials).map { index in
                ScriptedReply.Event(
                    name: "image_generation.partial_image",
                    data: "{\"type\":\"image_generation.partial_image\","
                        + "\(facts),\"partial_image_index\":\(index)}",
                    kind: .delta)
            }
            reply.events.append(
                .init(
                    name: "image_generation.completed",
                    data: "{\"type\":\"image_generation.completed\",\(facts),\(tail)}", kind: .usage))
        } else {
            let data = Array(repeating: "{\"b64_json\":\"iVBORw0K\"}", count: request.choices)
            reply.body = ByteBuffer(
                string: "{\"created\":\(created),\"data\":[\(data.joined(separator: ","))],\(tail)}\n")
        }
        return reply
    }

    /// `/v1/audio/speech`: sound without usage, or events with it.
    func speech() -> ScriptedReply {
        let input = tree["input"].text ?? ""
        let characters = input.unicodeScalars.count
        var counts = TokenCounts(prompt: promptTokens(textBytes: input.utf8.count), completion: characters)
        counts.outputAudio = characters
        var reply = ScriptedReply(behaviour, stream: request.stream)
        reply.counts = counts
        reply.units = ByteBuffer(string: "{\"characters\":\(characters)}")
        guard request.stream else {
            reply.contentType = .audio
            reply.body = ByteBuffer(repeating: 0x55, count: 64 * characters)
            return reply
        }
        reply.visible = characters
        reply.deltasTotal = (characters + 15) / 16
        reply.events = (0..<reply.deltasTotal).map { _ in
            .init(data: "{\"type\":\"speech.audio.delta\",\"audio\":\"VVVV\"}", kind: .delta)
        }
        reply.usage = WireUsage.object(.tokens, counts.bent(by: faults, cap: nil), faults)
        reply.events.append(
            .init(
                data: "{\"type\":\"speech.audio.done\"\(WireUsage.member(reply.usage, faults))}", kind: .usage
            ))
        return reply
    }

    /// `/v1/audio/transcriptions`: usage in tokens, in seconds (whisper-1, gpt-transcribe), or none (text
    /// formats). One second of sound is 16,000 bytes and 10 audio tokens.
    func transcriptions() -> ScriptedReply {
        let seconds = max(1, ((tree["file"].integer ?? 0) + 15_999) / 16_000)
        let visible = wantedTokens
        var counts = TokenCounts(prompt: 10 * seconds, completion: visible)
        counts.inputAudio = behaviour.inputAudio ?? 10 * seconds
        counts.prompt = counts.inputAudio + (tree["prompt"].text.map { ($0.utf8.count + 3) / 4 } ?? 0)
        let isTimed = request.model.hasPrefix("whisper") || request.model == "gpt-transcribe"
        var reply = ScriptedReply(behaviour, stream: request.stream && !isTimed)
        reply.counts = counts
        reply.visible = visible
        reply.deltasTotal = visible
        if isTimed { reply.units = ByteBuffer(string: "{\"seconds\":\(seconds)}") }
        let format = tree["response_format"].text ?? "json"
        if ["text", "srt", "vtt"].contains(format) {
            reply.contentType = .text
            reply.body = ByteBuffer(string: words(visible) + "\n")
            return reply
        }
        reply.usage =
            isTimed && faults.isDisjoint(with: [.nullUsage, .malformedUsage])
            ? "{\"type\":\"duration\",\"seconds\":\(seconds)}"
            : WireUsage.object(.transcription, counts.bent(by: faults, cap: nil), faults)
        let member = WireUsage.member(reply.usage, faults)
        if reply.stream {
            reply.events = (0..<visible).map { index in
                .init(data: "{\"type\":\"transcript.text.delta\",\"delta\":\"\(word(index))\"}", kind: .delta)
            }
            reply.events.append(
                .init(
                    data: "{\"type\":\"transcript.text.done\",\"text\":\"\(words(visible))\"\(member)}",
                    kind: .usage))
        } else {
            let more =
                format == "verbose_json"
                ? ",\"duration\":\(seconds).0,\"language\":\"english\",\"segments\":[]" : ""
            reply.body = ByteBuffer(string: "{\"text\":\"\(words(visible))\"\(more)\(member)}\n")
        }
        return reply
    }
}
