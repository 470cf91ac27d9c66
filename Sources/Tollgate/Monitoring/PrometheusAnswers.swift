import Foundation

/// What Prometheus' HTTP API answers, as far as it is looked at (prometheus.io/docs/prometheus/latest/querying/api).
struct PrometheusAnswer<Payload: Decodable>: Decodable {
    var data: Payload
}

struct PrometheusTargets: Decodable {
    struct Target: Decodable {
        var labels: [String: String]
        var health: String
        var lastError: String
        /// RFC 3339, with nanoseconds.
        var lastScrape: String
        /// Such as `15s`; older servers do not say.
        var scrapeInterval: String?
    }

    var activeTargets: [Target]
}

struct PrometheusRules: Decodable {
    struct Group: Decodable {
        var name: String
        var rules: [Rule]
    }

    struct Rule: Decodable {
        var name: String
        var query: String
        var health: String
        var lastError: String?
        /// Seconds, of alerts.
        var duration: Double?
        var labels: [String: String]?
        var type: String
    }

    var groups: [Group]
}

struct PrometheusAlertmanagers: Decodable {
    struct One: Decodable { var url: String }
    var activeAlertmanagers: [One]
}

extension PrometheusTargets.Target {
    /// - Parameter now: seconds since 1970.
    func finding(now: Double) -> MonitoringFinding {
        let name = "target \(self.labels["instance"] ?? "?")"
        guard self.health == "up" else {
            return MonitoringFinding(
                check: name, isGood: false, detail: "is \(self.health) \(self.lastError)".trimmed)
        }
        let interval = self.scrapeInterval.flatMap(PromDuration.seconds) ?? 60
        guard let scraped = Self.seconds(self.lastScrape) else {
            return MonitoringFinding(check: name, isGood: false, detail: "was never scraped")
        }
        let age = now - scraped
        // A scrape that runs and one that is due: later than that, one was left out.
        return MonitoringFinding(
            check: name, isGood: age <= 2 * interval + 1,
            detail: "up, scraped \(Int(max(0, age))) s ago, every \(Int(interval)) s")
    }

    private static func seconds(_ text: String) -> Double? {
        // Foundation reads milliseconds at most.
        let whole = text.prefix { $0 != "." && $0 != "Z" && $0 != "+" }
        let zone = text.drop { $0 != "Z" && $0 != "+" }
        return ISO8601DateFormatter().date(from: String(whole) + String(zone))?.timeIntervalSince1970
    }
}

extension String {
    fileprivate var trimmed: String { String(self.trimmingBlanks) }
}

/// Durations as Prometheus writes them: `1h30m`, `15s`, `500ms`.
enum PromDuration {
    private static let units: [(String, Double)] = [
        ("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800), ("y", 31_536_000),
    ]

    static func seconds(_ text: String) -> Double? {
        var rest = text[...]
        var sum = 0.0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isLetter }
            guard let count = Double(digits), let size = Self.units.first(where: { $0.0 == unit })?.1 else {
                return nil
            }
            sum += count * size
            rest = rest.dropFirst(unit.count)
        }
        return text.isEmpty ? nil : sum
    }
}
