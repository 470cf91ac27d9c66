/// What became of one line of a checklist.
enum CheckOutcome: Sendable, Hashable {
    case passed
    /// One sentence: what is wrong, and what to look at.
    case failed(String)
    /// This run has not what the check needs, such as a key of Stripe's.
    case skipped(String)
    /// A check that this one needs has failed, or was itself held up.
    case heldUp(by: String)
}

/// A check of a list in which some need others.
protocol ListedCheck: Sendable, Hashable, CaseIterable, RawRepresentable where RawValue == String {
    /// For the reader.
    var title: String { get }
    /// Checks without which this one would only say the same thing again. All stand before it.
    var needs: [Self] { get }
}

/// Results in the order of the list; decides what still makes sense to be run.
struct Checklist<Check: ListedCheck>: Sendable {
    struct Line: Sendable {
        var check: Check
        var outcome: CheckOutcome
        var milliseconds: Int64
        /// What was seen, where that is of interest to the reader.
        var note: String?
    }

    private(set) var lines: [Line] = []

    /// The check that holds this one up; nil: it may run. A check that was skipped holds nobody up: whoever needs what
    /// it would have brought says so.
    func obstacle(to check: Check) -> Check? {
        check.needs.first { need in
            switch self.outcome(of: need) {
            case .failed, .heldUp: true
            case .passed, .skipped, nil: false
            }
        }
    }

    func outcome(of check: Check) -> CheckOutcome? { self.lines.first { $0.check == check }?.outcome }

    mutating func add(_ line: Line) {
        precondition(self.outcome(of: line.check) == nil, "the runner goes through the list once")
        self.lines.append(line)
    }

    var failures: Int { self.lines.count { if case .failed = $0.outcome { true } else { false } } }
    var notRun: Int {
        self.lines.count {
            switch $0.outcome {
            case .skipped, .heldUp: true
            case .passed, .failed: false
            }
        }
    }

    /// - Parameter isStrict: a check that was skipped counts as a failure.
    func isGreen(isStrict: Bool) -> Bool { self.failures == 0 && (!isStrict || self.notRun == 0) }
}

extension Checklist.Line {
    private var sign: String {
        switch self.outcome {
        case .passed: "✓"
        case .failed: "✗"
        case .skipped, .heldUp: "–"
        }
    }

    private var words: String? {
        switch self.outcome {
        case .passed: self.note
        case .failed(let sentence): sentence
        case .skipped(let reason): "skipped: \(reason)"
        case .heldUp(let name): "skipped: '\(name)' comes first"
        }
    }

    /// `✓ health            12 ms  Tollgate 0.1.0`
    var text: String {
        let name = self.check.rawValue.padded(to: 16)
        let time = "\(self.milliseconds) ms".padded(to: 9)
        return "\(self.sign) \(name) \(time) \(self.check.title)" + (self.words.map { ": " + $0 } ?? "")
    }

    var json: CheckLineJSON {
        let status =
            switch self.outcome {
            case .passed: "passed"
            case .failed: "failed"
            case .skipped, .heldUp: "skipped"
            }
        return CheckLineJSON(
            check: self.check.rawValue, title: self.check.title, status: status, message: self.words,
            milliseconds: self.milliseconds)
    }
}

struct CheckLineJSON: Encodable, Sendable, Hashable {
    var check: String
    var title: String
    /// passed, failed or skipped.
    var status: String
    var message: String?
    var milliseconds: Int64
}

extension String {
    /// With spaces behind it.
    fileprivate func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - self.count))
    }
}
