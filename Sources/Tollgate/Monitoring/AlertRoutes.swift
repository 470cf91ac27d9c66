import Yams

/// Alertmanager's configuration, as far as it says who hears of what.
struct AlertRoutes: Decodable {
    struct Route: Decodable {
        var receiver: String?
        var matchers: [String]?
        var match: [String: String]?
        var matchRE: [String: String]?
        var routes: [Route]?
        var `continue`: Bool?

        private enum CodingKeys: String, CodingKey {
            case receiver, matchers, match, routes, `continue`
            case matchRE = "match_re"
        }
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

    /// All that hear of an alert of these labels, as Alertmanager walks its tree: the first child that takes it, those
    /// behind one that says `continue`, and a route by itself where no child takes it.
    func receivers(of labels: [String: String]) throws(BadMatcher) -> [String] {
        var found: [String] = []
        for receiver in try Self.receivers(self.route, labels, inherited: nil) where !found.contains(receiver)
        {
            found.append(receiver)
        }
        return found
    }

    private static func receivers(
        _ route: Route, _ labels: [String: String], inherited: String?
    ) throws(BadMatcher) -> [String] {
        let own = route.receiver ?? inherited
        var found: [String] = []
        for child in route.routes ?? [] {
            guard try child.allMatchers().allSatisfy({ $0.takes(labels) }) else { continue }
            found += try Self.receivers(child, labels, inherited: own)
            if child.continue != true { return found }
        }
        return found.isEmpty ? own.map { [$0] } ?? [] : found
    }

    /// A receiver that tells nobody is a hole.
    func tellsSomebody(_ receiver: String) -> Bool {
        self.receivers.contains { $0.name == receiver && $0.tellsSomebody }
    }

    /// - Parameters:
    ///   - labels: that these alerts have in common, such as severity and team.
    ///   - alerts: their names.
    func finding(_ labels: [String: String], alerts: [String]) -> MonitoringFinding {
        let title = labels.sorted { Self.rank($0.key) < Self.rank($1.key) }.map { "\($0.key) \($0.value)" }
        let check = "alert route \(title.joined(separator: ", "))"
        var all: [String] = []
        do throws(BadMatcher) {
            for alert in alerts {
                let told = try self.receivers(of: labels.merging(["alertname": alert]) { $1 })
                    .filter(self.tellsSomebody)
                guard !told.isEmpty else {
                    return MonitoringFinding(check: check, isGood: false, detail: "\(alert) leads to nobody")
                }
                all += told.filter { !all.contains($0) }
            }
        } catch {
            return MonitoringFinding(check: check, isGood: false, detail: "\(error)")
        }
        return MonitoringFinding(
            check: check, isGood: true, detail: "leads to \(all.joined(separator: ", "))")
    }

    /// Severity before team.
    private static func rank(_ label: String) -> String { label == "severity" ? "" : label }
}

extension AlertRoutes.Route {
    /// Of the three ways to write them.
    fileprivate func allMatchers() throws(BadMatcher) -> [AlertMatcher] {
        var all: [AlertMatcher] = []
        for text in self.matchers ?? [] { all += try AlertMatcher.list(parsing: text) }
        for (name, value) in self.match ?? [:] { all.append(try AlertMatcher(name, .equal, value)) }
        for (name, value) in self.matchRE ?? [:] { all.append(try AlertMatcher(name, .matches, value)) }
        return all
    }
}
