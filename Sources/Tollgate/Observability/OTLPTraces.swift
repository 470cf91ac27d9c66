import Foundation
import Metering

/// Spans in OTLP's JSON: ids in hexadecimal, 64-bit numbers as text.
///
/// Source: opentelemetry-proto, `trace/v1/trace.proto`; OTLP specification, "JSON Protobuf Encoding".
struct OTLPTraces: Encodable {
    var resourceSpans: [ResourceSpans]

    struct ResourceSpans: Encodable {
        var resource: Resource
        var scopeSpans: [ScopeSpans]
    }

    struct Resource: Encodable { var attributes: [Attribute] }

    struct ScopeSpans: Encodable {
        var scope: Scope
        var spans: [Span]
    }

    struct Scope: Encodable {
        var name: String
        var version: String
    }

    struct Span: Encodable {
        var traceId: String
        var spanId: String
        var parentSpanId: String?
        var name: String
        /// 1 internal, 2 server, 3 client.
        var kind: Int
        var startTimeUnixNano: String
        var endTimeUnixNano: String
        var attributes: [Attribute]
        var status: Status
    }

    struct Status: Encodable {
        /// 0 unset, 2 error.
        var code: Int
    }

    struct Attribute: Encodable {
        var key: String
        var value: Value

        init(_ key: String, _ text: String) {
            self.key = key
            self.value = .text(text)
        }

        init(_ key: String, _ number: Int64) {
            self.key = key
            self.value = .number(number)
        }
    }

    enum Value: Encodable {
        case text(String)
        case number(Int64)
        case flag(Bool)

        private enum Keys: String, CodingKey { case stringValue, intValue, boolValue }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Keys.self)
            switch self {
            case .text(let text): try container.encode(text, forKey: .stringValue)
            case .number(let number): try container.encode(String(number), forKey: .intValue)
            case .flag(let flag): try container.encode(flag, forKey: .boolValue)
            }
        }
    }

    init(_ spans: [ExchangeSpan], service: String, instance: String, version: String) {
        self.resourceSpans = [
            ResourceSpans(
                resource: Resource(attributes: [
                    Attribute("service.name", service), Attribute("service.version", version),
                    Attribute("service.instance.id", instance),
                ]),
                scopeSpans: [
                    ScopeSpans(
                        scope: Scope(name: "tollgate", version: version),
                        spans: spans.flatMap(\.otlpSpans))
                ])
        ]
    }

    func encoded() throws -> [UInt8] { Array(try JSONEncoder().encode(self)) }
}

extension ExchangeSpan {
    fileprivate var otlpSpans: [OTLPTraces.Span] {
        var server = self.make(
            "\(self.method) \(self.endpoint)", kind: 2, span: self.span, parent: self.trace.parent, 0,
            self.duration)
        server.attributes = self.facts
        server.status.code = self.status >= 500 ? 2 : 0
        var spans = [server]
        if let part = self.placing { spans.append(self.make("hold.place", kind: 1, part)) }
        if let part = self.upstream {
            var span = self.make("upstream", kind: 3, part)
            if let firstByte = self.firstByte {
                span.attributes.append(.init("tollgate.first_byte_us", (firstByte - part.begin) / 1000))
            }
            if let firstToken = self.firstToken {
                span.attributes.append(.init("tollgate.first_token_us", (firstToken - part.begin) / 1000))
            }
            spans.append(span)
        }
        if let part = self.settling { spans.append(self.make("settle", kind: 1, part)) }
        return spans
    }

    private func make(_ name: String, kind: Int, _ part: Part) -> OTLPTraces.Span {
        self.make(name, kind: kind, span: part.span, parent: self.span, part.begin, part.end)
    }

    private func make(
        _ name: String, kind: Int, span: UInt64, parent: UInt64?, _ begin: Offset, _ end: Offset
    ) -> OTLPTraces.Span {
        OTLPTraces.Span(
            traceId: self.trace.traceID, spanId: TraceContext.text(span),
            parentSpanId: parent.map(TraceContext.text), name: name, kind: kind,
            startTimeUnixNano: String(self.startedAt + begin), endTimeUnixNano: String(self.startedAt + end),
            attributes: [], status: OTLPTraces.Status(code: 0))
    }

    private var facts: [OTLPTraces.Attribute] {
        var facts: [OTLPTraces.Attribute] = [
            .init("http.request.method", self.method), .init("http.route", self.endpoint),
            .init("http.response.status_code", Int64(self.status)), .init("tollgate.end", self.end),
            .init("tollgate.hold_id", self.hold.description),
        ]
        func add(_ key: String, _ value: String?) { if let value { facts.append(.init(key, value)) } }
        func add(_ key: String, _ value: Int64?) { if let value { facts.append(.init(key, value)) } }
        // A client may write anything there.
        add("gen_ai.request.model", self.model.map { String($0.prefix(128)) })
        add("gen_ai.usage.input_tokens", self.inputTokens)
        add("gen_ai.usage.output_tokens", self.outputTokens)
        add("tollgate.held_millicredits", self.held?.value)
        add("tollgate.charged_millicredits", self.charged?.value)
        add("tollgate.estimated", self.estimatedBecause)
        return facts
    }
}
