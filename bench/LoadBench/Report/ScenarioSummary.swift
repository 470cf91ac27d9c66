/// What every report says of a scenario, whatever it is written in.
struct ScenarioSummary: Sendable {
    let scenario: ScenarioResult
    let baseline: String?
    let lanes: [LaneComparison]

    init(_ scenario: ScenarioResult, baseline: String?, direct: String) {
        self.scenario = scenario
        self.baseline = baseline
        self.lanes = scenario.comparison(baseline: baseline, direct: direct)
    }

    var verdicts: [Verdict] { self.lanes.flatMap(Verdict.all(of:)) }

    /// One row per lane. Times are of the whole exchange unless the heading says otherwise.
    var table: ReportTable {
        let columns = Self.columns(
            baseline: self.baseline, unit: self.scenario.runs.contains { $0.chunks > 0 } ? "chunk" : "exch")
        return ReportTable(
            columns: columns.map(\.column), rows: self.lanes.map { lane in columns.map { $0.cell(lane) } }
        )
        .withoutEmptyColumns()
    }

    /// Failed exchanges of all measured rounds by what went wrong, most first; empty where none failed.
    var errors: ReportTable {
        ReportTable(
            columns: [
                .init(heading: "lane", isNumber: false), .init(heading: "error", isNumber: false),
                .init(heading: "exchanges"),
            ],
            rows: self.lanes.flatMap { lane in
                self.errors(lane: lane.lane).map { [lane.lane, $0.key, Figures.whole($0.value)] }
            })
    }

    /// CPU and memory of every process that was watched, medians over rounds; the peak is of any round.
    var processes: ReportTable {
        ReportTable(
            columns: [
                .init(heading: "lane", isNumber: false), .init(heading: "process", isNumber: false),
                .init(heading: "CPU", unit: "s/1,000"), .init(heading: "before", unit: "MB"),
                .init(heading: "after", unit: "MB"), .init(heading: "peak", unit: "MB"),
            ],
            rows: self.lanes.flatMap { self.processRows(lane: $0.lane) })
    }

    private func errors(lane: String) -> [(key: String, value: Int)] {
        let kinds = self.scenario.measuredRuns(lane: lane).reduce(into: [String: Int]()) { sums, run in
            sums.merge(run.errors, uniquingKeysWith: +)
        }
        return kinds.filter { $0.value != 0 }.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    }

    private func processRows(lane: String) -> [[String]] {
        let runs = self.scenario.measuredRuns(lane: lane)
        var seen: Set<String> = []
        let names = runs.flatMap(\.processes).map(\.name).filter { seen.insert($0).inserted }
        return names.map { name in
            let uses = runs.flatMap(\.processes).filter { $0.name == name }
            let memory = MemoryUse(of: uses)
            return [
                lane, name,
                runs.compactMap { $0.cpuPerThousand(name) }.median.map(Figures.short) ?? Figures.missing,
            ]
                + [memory?.before, memory?.after, memory?.peak].map {
                    $0.map(Figures.megabytes) ?? Figures.missing
                }
        }
    }
}

/// Resident bytes of a process over rounds: medians, and the highest peak.
struct MemoryUse: Sendable, Equatable {
    let before: Int
    let after: Int
    let peak: Int

    /// nil of nothing.
    init?(of uses: [ProcessUse]) {
        guard let before = uses.map({ Double($0.residentBefore) }).median,
            let after = uses.map({ Double($0.residentAfter) }).median,
            let peak = uses.map(\.residentPeak).max()
        else { return nil }
        (self.before, self.after, self.peak) = (Int(before), Int(after), peak)
    }
}
