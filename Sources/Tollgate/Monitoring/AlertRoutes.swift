import Yams

/// Alertmanager's configuration, as far as it says who hears of what.
struct AlertRoutes: Decodable {
    struct Route: Decodable {
        var receiver: String?
        var matchers: [String]?
        var match: [String: String]?
        var routes: [Route]?
        var `continue`: Bool?
    }

    struct Receiver: Decodable {
        var name: String
        /// One of the ways to tell somebody is configured.
        var tellsSomebody: Bool

        private struct Key: CodingKey {
            var stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }

        init(from decoder: any Decoder) throws {
            let members = try decoder.container(keyedBy: Key.self)
            self.name = try members.decode(String.self, forKey: Key(stringValue: "name"))
            self.tellsSomebody = members.allKeys.contains { $0.stringValue.hasSuffix("_configs") }
        }
    }

    var route: Route
    var receivers: [Receiver]

    init(parsing text: String) throws { self = try YAMLDecoder().decode(AlertRoutes.self, from: text) }

    /// Where an alert of these labels goes first.
    func receiver(of labels: [String: String]) -> String? {
        Self.receiver(self.route, labels, inherited: nil)
    }

    private static func receiver(_ route: Route, _ labels: [String: String], inherited: String?) -> String? {
        let own = route.receiver ?? inherited
        for child in route.routes ?? [] where child.takes(labels) {
            return Self.receiver(child, labels, inherited: own)
        }
        return own
    }

    /// A receiver that tells nobody is a hole.
    func tellsSomebody(_ receiver: String) -> Bool {
        self.receivers.contains { $0.name == receiver && $0.tellsSomebody }
    }

    func finding(severity: String) -> MonitoringFinding {
        let check = "alert route \(severity)"
        let labels = ["severity": severity, "alertname": "TollgateTest"]
        guard let receiver = self.receiver(of: labels), self.tellsSomebody(receiver) else {
            return MonitoringFinding(check: check, isGood: false, detail: "leads to nobody")
        }
        return MonitoringFinding(check: check, isGood: true, detail: "leads to \(receiver)")
    }
}

extension AlertRoutes.Route {
    fileprivate func takes(_ labels: [String: String]) -> Bool {
        let equal = (self.match ?? [:]).allSatisfy { labels[$0.key] == $0.value }
        return equal && (self.matchers ?? []).allSatisfy { Self.takes($0, labels) }
    }

    /// `name="value"`, `name=value`, and with `!=`. Expressions (`=~`) are taken to match: they narrow what is asked here
    /// by other labels than the severity.
    private static func takes(_ matcher: String, _ labels: [String: String]) -> Bool {
        let text = matcher.filter { !$0.isWhitespace && $0 != "\"" && $0 != "'" }
        guard !text.contains("~") else { return true }
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return false }
        let isNegated = parts[0].hasSuffix("!")
        let name = String(isNegated ? parts[0].dropLast() : parts[0])
        return ((labels[name] ?? "") == parts[1]) != isNegated
    }
}
