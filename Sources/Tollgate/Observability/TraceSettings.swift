import Foundation
import Metering
import StripeAPI

/// `OTEL_*`, `TRACE_SAMPLE_RATIO`, `TRACE_PARENT_BASED` and `TRACE_UPSTREAM`, under the names of OpenTelemetry where it has one.
///
/// Source: opentelemetry.io/docs/specs/otel/protocol/exporter and …/configuration/sdk-environment-variables.
struct TraceSettings: Sendable {
    /// Where spans go.
    struct Collector: Sendable {
        var base: OutboundBase
        /// Path of the traces below the base.
        var target: String
        var headers: [OutboundRequest.Header]
    }

    /// nil: no spans are made.
    var collector: Collector?
    var serviceName: String
    /// As `Tracing.sampledBelow`.
    var sampledBelow: UInt64
    var followsTrustedPeers: Bool
    var tellsUpstream: Bool

    init(_ reader: inout SettingsReader) {
        self.serviceName = reader.text("OTEL_SERVICE_NAME") ?? "tollgate"
        self.followsTrustedPeers = reader.flag("TRACE_PARENT_BASED", default: false)
        self.tellsUpstream = reader.flag("TRACE_UPSTREAM", default: false)
        self.sampledBelow = Self.ratio(&reader)
        let protocolName = reader.text("OTEL_EXPORTER_OTLP_PROTOCOL") ?? "http/json"
        if protocolName != "http/json" {
            reader.reject("OTEL_EXPORTER_OTLP_PROTOCOL", "must be http/json")
        }
        self.collector = Self.collector(&reader)
    }

    private static func collector(_ reader: inout SettingsReader) -> Collector? {
        let own = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
        let shared = "OTEL_EXPORTER_OTLP_ENDPOINT"
        let headers = self.headers(&reader)
        // The endpoint of traces is used as it is; the shared one is a base.
        let name = reader.text(own) != nil ? own : shared
        guard var text = reader.text(name) else { return nil }
        while text.hasSuffix("/") { text.removeLast() }
        if name == shared { text += "/v1/traces" }
        do throws(OutboundBase.Problem) {
            // Headers hold a secret; spans do not.
            let plain: OutboundBase.PlainHTTP = headers.isEmpty ? .anywhere : .toThisMachine
            var base = try OutboundBase(parsing: text, plainHTTP: plain)
            let target = base.path.isEmpty ? "/" : base.path
            base = try OutboundBase(parsing: String(text.dropLast(base.path.count)), plainHTTP: plain)
            return Collector(base: base, target: target, headers: headers)
        } catch {
            reader.reject(
                name,
                "must be https://…, or http://… without OTEL_EXPORTER_OTLP_HEADERS; without user or query")
            return nil
        }
    }

    /// `key=value` by commas; values are percent-encoded.
    private static func headers(_ reader: inout SettingsReader) -> [OutboundRequest.Header] {
        let name = "OTEL_EXPORTER_OTLP_HEADERS"
        guard let text = reader.secret(name)?.value else { return [] }
        let headers = text.split(separator: ",").map { pair -> OutboundRequest.Header? in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let value = String(parts[1].trimmingBlanks).removingPercentEncoding,
                !parts[0].trimmingBlanks.isEmpty, !value.isEmpty
            else { return nil }
            return OutboundRequest.Header(String(parts[0].trimmingBlanks), value)
        }
        guard headers.allSatisfy({ $0 != nil }) else {
            // The text itself is a secret.
            reader.reject(name, "must be key=value pairs by commas, values percent-encoded")
            return []
        }
        return headers.compactMap { $0 }
    }

    private static func ratio(_ reader: inout SettingsReader) -> UInt64 {
        let names = ["TRACE_SAMPLE_RATIO", "OTEL_TRACES_SAMPLER_ARG"]
        guard let name = names.first(where: { reader.text($0) != nil }), let text = reader.text(name) else {
            return .max
        }
        guard let ratio = try? ExactDecimal(parsing: text), ratio.coefficient >= 0,
            let billionths = ratio.scaledToInteger(powerOfTen: 9), billionths <= 1_000_000_000
        else {
            reader.reject(name, "must be from 0 to 1, with at most nine decimal places")
            return 0
        }
        guard billionths < 1_000_000_000 else { return .max }
        return UInt64(billionths) * (UInt64.max / 1_000_000_000)
    }
}
