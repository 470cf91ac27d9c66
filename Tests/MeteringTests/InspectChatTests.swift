import Testing

@testable import Metering

private let hello = #""messages":[{"role":"user","content":"hello"}]"#

private func inspect(_ text: String) -> Result<InspectedRequest, RequestRejection> {
    Inspection.inspect(text, as: .chat)
}

/// A good request with `members` added in front.
private func accepted(_ members: String = "", sourceLocation: SourceLocation = #_sourceLocation) throws
    -> InspectedRequest
{
    let separator = members.isEmpty ? "" : ","
    return try inspect("{\(members)\(separator)\"model\":\"gpt-4o-mini\",\(hello)}").get()
}

private func edited(_ text: String, injectUsage: Bool = false, outputCap: Int64? = nil, pinTier: Bool = false)
    throws -> String
{
    let request = try inspect(text).get()
    var bytes: [UInt8] = []
    var at = 0
    let body = Array(text.utf8)
    for edit in request.edits(injectUsage: injectUsage, outputCap: outputCap, pinTier: pinTier) {
        #expect(edit.range.lowerBound >= at, "edits are sorted and do not overlap")
        bytes += body[at..<edit.range.lowerBound] + edit.replacement
        at = edit.range.upperBound
    }
    return String(decoding: bytes + body[at...], as: UTF8.self)
}

@Suite struct InspectChatTests {
    @Test func everythingThatMeteringNeedsIsRead() throws {
        let request = try accepted(
            #""stream":true,"stream_options":{"x":[1],"include_usage":true},"max_tokens":7,"n":3,"service_tier":"fast""#
        )
        #expect(request.model == "gpt-4o-mini")
        #expect(request.stream && request.includeUsage && !request.unboundedInput)
        #expect(request.outputCap == 7 && request.choices == 3)
        #expect(request.serviceTier == .named(.priority))
        #expect(request.textBytes == "userhello".utf8.count)
    }

    @Test func nullIsAbsentForOptionalMembers() throws {
        let request = try accepted(
            #""stream":null,"stream_options":null,"max_tokens":null,"max_completion_tokens":null,"n":null,"#
                + #""service_tier":null,"audio":null,"prediction":null,"web_search_options":null,"modalities":null,"#
                + #""prompt_cache_options":null,"tools":null"#)
        #expect(!request.stream && !request.includeUsage && request.outputCap == nil && request.choices == 1)
        #expect(request.serviceTier == .absent)
    }

    /// Upstream takes one of the two; the larger one bounds what it can cost.
    @Test func theLargerOfTwoCapsBoundsTheHold() throws {
        #expect(try accepted(#""max_tokens":10,"max_completion_tokens":20"#).outputCap == 20)
        #expect(try accepted(#""max_tokens":30,"max_completion_tokens":20"#).outputCap == 30)
        #expect(try accepted(#""max_tokens":30,"max_completion_tokens":null"#).outputCap == 30)
        #expect(try accepted(#""max_tokens":9223372036854775807"#).outputCap == .max)
    }

    @Test func anEscapedNameIsTheSameName() throws {
        let request = try inspect(
            #"{"mod\u0065l":"gpt\u002d4o","messages":[{"content":[{"typ\u0065":"image_url"}]}]}"#
        ).get()
        #expect(request.model == "gpt-4o" && request.unboundedInput)
    }

    @Test(arguments: [
        #"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]"#,
        #"[{"role":"user","content":[{"type":"file","file":{"file_id":"f-1"}}]}]"#,
        #"[{"role":"user","content":[{"file":{"file_id":"f-1"}}]}]"#,
        #"[{"role":"user","content":[{"image_url":"https://x/y.png"}]}]"#,
        #"[{"role":"tool","content":[{"image_url":["https://x/y.png"]}]}]"#,
    ]) func mediaIsNotBoundedByItsBytes(_ messages: String) throws {
        #expect(try inspect(#"{"model":"m","messages":\#(messages)}"#).get().unboundedInput)
    }

    @Test func textOfToolsCountsAndMediaDoNot() throws {
        #expect(
            try accepted(#""tools":[{"type":"function","function":{"name":"abc"}}]"#).textBytes == 9 + 4 + 8
                + 8 + 4 + 3)
        let image =
            #"{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAAAAAAAAAAAAAAAAAAAA"}}"#
        let request = try inspect(
            #"{"model":"m","messages":[{"content":[{"type":"text","text":"hi"},\#(image)]}]}"#
        ).get()
        #expect(request.textBytes == 2)
        #expect(request.unboundedInput)
    }

    @Test(arguments: [
        #""functions":[{"name":"f","parameters":{}}],"function_call":"auto""#,
        #""store":true,"metadata":{"a":"b"},"seed":-1,"temperature":0.5,"logit_bias":{"1":-1e2}"#,
        #""modalities":["text"]"#, #""prompt_cache_options":{"ttl":"30m","prewarm":false,"mode":"implicit"}"#,
        #""prompt_cache_options":{"ttl":null,"prewarm":null}"#, #""response_format":{"type":"json_object"}"#,
    ]) func whatDoesNotChangeThePricePasses(_ members: String) throws { _ = try accepted(members) }

    /// (members, name of the field at fault)
    @Test(arguments: [
        (#""max_tokens":-1"#, "max_tokens"), (#""max_tokens":0"#, "max_tokens"),
        (#""max_tokens":1.5"#, "max_tokens"),
        (#""max_tokens":1.0"#, "max_tokens"), (#""max_tokens":1e2"#, "max_tokens"),
        (#""max_tokens":-0"#, "max_tokens"),
        (#""max_tokens":1e400"#, "max_tokens"), (#""max_tokens":99999999999999999999"#, "max_tokens"),
        (#""max_tokens":9223372036854775808"#, "max_tokens"), (#""max_tokens":"5""#, "max_tokens"),
        (#""max_tokens":true"#, "max_tokens"), (#""max_tokens":[5]"#, "max_tokens"),
        (#""max_tokens":{}"#, "max_tokens"),
        (#""max_completion_tokens":-5"#, "max_completion_tokens"),
        (#""max_completion_tokens":{"x":1}"#, "max_completion_tokens"),
        (#""n":0"#, "n"), (#""n":129"#, "n"), (#""n":1.0"#, "n"), (#""n":"1""#, "n"), (#""n":false"#, "n"),
        (#""stream":1"#, "stream"), (#""stream":"true""#, "stream"), (#""stream":{}"#, "stream"),
        (#""stream_options":true"#, "stream_options"), (#""stream_options":[]"#, "stream_options"),
        (#""stream_options":"x""#, "stream_options"),
        (#""stream_options":{"include_usage":1}"#, "stream_options.include_usage"),
        (#""stream_options":{"include_usage":"true"}"#, "stream_options.include_usage"),
        (#""service_tier":"scale""#, "service_tier"), (#""service_tier":"""#, "service_tier"),
        (#""service_tier":1"#, "service_tier"), (#""service_tier":["auto"]"#, "service_tier"),
        (#""service_tier":"batch""#, "service_tier"),
        (#""modalities":["text","image"]"#, "modalities"), (#""modalities":["\u0069mage"]"#, "modalities"),
        (#""modalities":[1]"#, "modalities"), (#""modalities":[{}]"#, "modalities"),
        (#""modalities":"audio""#, "modalities"),
        (#""audio":1"#, "audio"), (#""audio":[]"#, "audio"), (#""audio":{"voice":{"id":1}}"#, "voice.id"),
        (#""web_search_options":true"#, "web_search_options"),
        (#""web_search_options":[]"#, "web_search_options"),
        (#""prediction":["x"]"#, "prediction"), (#""store":"yes""#, "store"),
        (#""service_tier":"ultrafast""#, "service_tier"),
        (#""tools":[{"type":"web_search"}]"#, "tools.type"), (#""tools":[{"type":1}]"#, "tools.type"),
        (#""tools":["x"]"#, "tools"), (#""tools":{}"#, "tools"),
        (#""prediction":"x""#, "prediction"),
        (#""prompt_cache_options":{"ttl":"24h"}"#, "prompt_cache_options.ttl"),
        (
            #""prompt_cache_options":{"comparison_response_id":1}"#,
            "prompt_cache_options.comparison_response_id"
        ),
        (#""prompt_cache_options":{"ttl":1}"#, "prompt_cache_options.ttl"),
        (#""prompt_cache_options":{"prewarm":"x"}"#, "prompt_cache_options.prewarm"),
        (#""prompt_cache_options":[]"#, "prompt_cache_options"),
    ]) func whatCannotBeMeteredIsRefusedByName(_ members: String, _ field: String) {
        #expect(throws: RequestRejection.self) { try accepted(members) }
        guard case .failure(let rejection) = inspect("{\(members),\"model\":\"m\",\(hello)}") else { return }
        #expect(rejection.code == .invalidRequest && rejection.param == field)
        #expect(rejection.message.contains(field))
    }

    /// (whole body, field)
    @Test(arguments: [
        (#"{\#(hello)}"#, "model"), (#"{"model":"",\#(hello)}"#, "model"),
        (#"{"model":null,\#(hello)}"#, "model"),
        (#"{"model":3,\#(hello)}"#, "model"), (#"{"model":["m"],\#(hello)}"#, "model"),
        (#"{"model":"\#(String(repeating: "m", count: 257))",\#(hello)}"#, "model"),
        (#"{"model":"m"}"#, "messages"), (#"{"model":"m","messages":[]}"#, "messages"),
        (#"{"model":"m","messages":null}"#, "messages"), (#"{"model":"m","messages":{}}"#, "messages"),
        (#"{"model":"m","messages":"hi"}"#, "messages"), (#"{"model":"m","messages":["hi"]}"#, "messages"),
        (#"{"model":"m","messages":[{},1]}"#, "messages"),
        (#"{"model":"m","messages":[{},null]}"#, "messages"),
        (#"{"model":"m","messages":[[]]}"#, "messages"), (#"{"model":"m","messages":[true]}"#, "messages"),
        (#"{"model":"m","messages":[{"content":{}}]}"#, "messages.content"),
        (#"{"model":"m","messages":[{"content":5}]}"#, "messages.content"),
        (#"{"model":"m","messages":[{"content":[{"type":"input_video"}]}]}"#, "messages"),
        (#"{"model":"m","messages":[{"content":[{"input_audio":"AA"}]}]}"#, "messages.content.input_audio"),
        (
            #"{"model":"m","messages":[{"content":[{"prompt_cache_breakpoint":{"ttl":"1h"}}]}]}"#,
            "prompt_cache_breakpoint.ttl"
        ),
        (#"{"model":"m","messages":[{"content":[{"type":7}]}]}"#, "messages.content.type"),
        (#"{"model":"m","messages":[{"audio":"a"}]}"#, "messages.audio"),
        (#"{"model":"m","messages":[{"audio":{"id":1}}]}"#, "messages.audio.id"),
    ]) func aRequestWithoutItsCoreIsRefusedByName(_ body: String, _ field: String) {
        guard case .failure(let rejection) = inspect(body) else {
            Issue.record("accepted: \(body)")
            return
        }
        #expect(rejection.code == .invalidRequest && rejection.param == field, "\(rejection)")
    }

    @Test func theMessageSaysWhatWasExpectedAndNothingOfTheBody() {
        guard case .failure(let rejection) = inspect(#"{"max_tokens":"zebra","model":"m",\#(hello)}"#) else {
            Issue.record("accepted")
            return
        }
        #expect(
            rejection.message
                == "Invalid type for 'max_tokens': expected an integer, but got a string instead.")
    }

    // MARK: Edits

    @Test func editsAreAddedInFrontAndOnlyWhenAskedFor() throws {
        let body = #" { "model":"m",\#(hello)}"#
        #expect(try edited(body) == body)
        #expect(
            try edited(body, injectUsage: true, outputCap: 99, pinTier: true)
                == #" {"stream_options":{"include_usage":true},"max_completion_tokens":99,"service_tier":"default", "#
                + #""model":"m",\#(hello)}"#)
    }

    /// (members of the client, members sent upstream)
    @Test(arguments: [
        (#""stream_options":null"#, #""stream_options":{"include_usage":true}"#),
        (#""stream_options":{}"#, #""stream_options":{"include_usage":true}"#),
        (#""stream_options":{ }"#, #""stream_options":{"include_usage":true }"#),
        (#""stream_options":{"x":{"y":1}}"#, #""stream_options":{"include_usage":true,"x":{"y":1}}"#),
        (
            #""stream_options":{"include_usage":false,"x":1}"#,
            #""stream_options":{"include_usage":true,"x":1}"#
        ),
        (
            #""stream_options":{"x":1,"include_usage" : null}"#,
            #""stream_options":{"x":1,"include_usage" : true}"#
        ),
    ]) func otherStreamOptionsAreKept(_ before: String, _ after: String) throws {
        let rest = #","model":"m",\#(hello)}"#
        #expect(try edited("{\(before)\(rest)", injectUsage: true) == "{\(after)\(rest)")
    }

    /// A second member of the same name would leave it to upstream which one counts: the money would not be
    /// held.
    @Test(arguments: [
        #""max_completion_tokens":null,"service_tier":null"#,
        #""service_tier":"auto","max_completion_tokens":null"#,
        #""max_tokens":null,"service_tier":"auto","stream_options":{"include_usage":false}"#,
        #""stream_options":null,"max_completion_tokens": null"#, #""seed":1"#, #""max_completion_tokens":5"#,
        #""max_tokens":5,"service_tier":"flex""#, #""service_tier":"default""#,
    ]) func anEditedBodyStaysAGoodRequest(_ members: String) throws {
        let original = try accepted(members)
        let text = try edited(
            "{\(members),\"model\":\"m\",\(hello)}", injectUsage: true, outputCap: 77, pinTier: true)
        let request = try inspect(text).get()
        #expect(request.includeUsage)
        #expect(request.outputCap == original.outputCap ?? 77)
        if case .named(let tier) = original.serviceTier {
            #expect(request.serviceTier == .named(tier))
        } else {
            #expect(request.serviceTier == .named(.default))
        }
    }
}
