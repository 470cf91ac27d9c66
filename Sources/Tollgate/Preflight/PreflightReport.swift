/// One line of the runbook's T-1 list.
struct PreflightLine: Sendable, Hashable, Encodable {
    enum State: String, Sendable, Hashable, Encodable { case ok, warning, failed }

    /// What was looked at, such as `secrets`.
    var check: String
    var state: State
    var text: String

    init(_ check: String, _ state: State, _ text: String) {
        self.check = check
        self.state = state
        self.text = text
    }

    static func ok(_ check: String, _ text: String) -> PreflightLine { .init(check, .ok, text) }
    static func warning(_ check: String, _ text: String) -> PreflightLine { .init(check, .warning, text) }
    static func failed(_ check: String, _ text: String) -> PreflightLine { .init(check, .failed, text) }

    var line: String {
        let sign =
            switch self.state {
            case .ok: "✓"
            case .warning: "!"
            case .failed: "✗"
            }
        let name = self.check + String(repeating: " ", count: max(0, 14 - self.check.count))
        return "\(sign) \(name) \(self.text)"
    }
}

/// What an operator may leave undone, and has to say so: nobody else can tell it from having forgotten it.
enum AcceptableGap: String, CaseIterable, Sendable {
    case adminMFA = "admin-mfa"
    case backup, staging
}

/// All lines, in the order of the list.
struct PreflightReport: Sendable {
    private(set) var lines: [PreflightLine] = []
    /// Their gaps are warnings.
    let accepted: Set<AcceptableGap>

    init(accepting accepted: Set<AcceptableGap> = []) { self.accepted = accepted }

    /// What is missing of this; a gap unless it was accepted.
    mutating func missing(_ gap: AcceptableGap, _ text: String) {
        let check = gap.rawValue
        self.add(
            self.accepted.contains(gap)
                ? .warning(check, "\(text); accepted")
                : .failed(check, "\(text), or accept it: --accept \(check)"))
    }

    /// Findings of one check; none of them: the check is fine, and `fine` says so.
    mutating func add(_ check: String, _ found: [PreflightLine], fine: String) {
        self.lines += found.isEmpty ? [.ok(check, fine)] : found
    }

    mutating func add(_ line: PreflightLine) { self.lines.append(line) }

    var failures: Int { self.lines.count { $0.state == .failed } }
    var warnings: Int { self.lines.count { $0.state == .warning } }

    /// - Parameter isStrict: warnings are gaps too.
    func isReady(isStrict: Bool) -> Bool { self.failures == 0 && (!isStrict || self.warnings == 0) }
}
