import Foundation
import Yams

/// The rules as they stand in `ops/prometheus`.
struct RuleFile: Decodable {
    struct Group: Decodable {
        var name: String
        var rules: [Rule]
    }

    struct Rule: Decodable {
        var alert: String?
        var record: String?
        var expr: String
        var `for`: String?
        var labels: [String: String]?

        var name: String { self.alert ?? self.record ?? "" }
    }

    var groups: [Group]

    /// All groups of the `*.rules.yml` of a directory.
    static func groups(in directory: String) throws -> [Group] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let files = names.filter { $0.hasSuffix(".rules.yml") }.sorted()
        guard !files.isEmpty else {
            throw UsageError("no *.rules.yml in '\(directory)'; name it with --rules")
        }
        return try files.flatMap { name in
            let text = try String(contentsOfFile: directory + "/" + name, encoding: .utf8)
            return try YAMLDecoder().decode(RuleFile.self, from: text).groups
        }
    }
}

/// Alerts that are told apart by nothing but their names.
struct AlertKind: Equatable {
    /// Of the rule, such as severity and team.
    var labels: [String: String]
    var names: [String]

    /// Of all alerts, in the order in which they come first.
    static func all(in groups: [RuleFile.Group]) -> [AlertKind] {
        var kinds: [AlertKind] = []
        for rule in groups.flatMap(\.rules) {
            guard let name = rule.alert else { continue }
            let labels = rule.labels ?? [:]
            if let index = kinds.firstIndex(where: { $0.labels == labels }) {
                kinds[index].names.append(name)
            } else {
                kinds.append(AlertKind(labels: labels, names: [name]))
            }
        }
        return kinds
    }
}

extension RuleFile.Group {
    /// - Parameter loaded: all groups that the server runs.
    func finding(loaded: [PrometheusRules.Group]) -> MonitoringFinding {
        let check = "rules \(self.name)"
        // Two files may have a group of one name; ours is the one with our rules.
        let there = loaded.filter { $0.name == self.name }.flatMap(\.rules)
        guard !there.isEmpty else {
            return MonitoringFinding(check: check, isGood: false, detail: "not loaded")
        }
        let problems = self.rules.compactMap { rule in rule.problem(there).map { "\(rule.name) \($0)" } }
        return MonitoringFinding(
            check: check, isGood: problems.isEmpty,
            detail: problems.isEmpty
                ? "\(self.rules.count) rules, healthy and as written" : problems.joined(separator: "; "))
    }
}

extension RuleFile.Rule {
    fileprivate func problem(_ loaded: [PrometheusRules.Rule]) -> String? {
        let type = self.alert != nil ? "alerting" : "recording"
        let named = loaded.filter { $0.name == self.name && $0.type == type }
        guard !named.isEmpty else { return "is not loaded" }
        let wanted = PromQL.comparable(self.expr)
        // Alerts of one name may differ by their expression.
        guard let rule = named.first(where: { PromQL.comparable($0.query) == wanted }) else {
            return "has another expression"
        }
        if let duration = rule.duration, duration != (self.for.flatMap(PromDuration.seconds) ?? 0) {
            return "waits for another time"
        }
        guard (rule.labels ?? [:]) == (self.labels ?? [:]) else { return "has other labels" }
        // A rule is of unknown health until its first evaluation.
        return rule.health == "err" ? "fails: \(rule.lastError ?? "")" : nil
    }
}

enum PromQL {
    /// The server prints an expression anew: blanks and parentheses around a whole operand may differ, and label matchers
    /// are what they were.
    static func comparable(_ expression: String) -> String {
        expression.filter { !$0.isWhitespace }
    }
}
