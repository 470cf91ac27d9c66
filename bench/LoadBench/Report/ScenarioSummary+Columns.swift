extension ScenarioSummary {
    struct LaneColumn {
        var column: ReportTable.Column
        var cell: (LaneComparison) -> String
    }

    /// - Parameter unit: what CPU is counted by, `exch` or `chunk`.
    static func columns(baseline: String?, unit: String) -> [LaneColumn] {
        [
            LaneColumn(column: .init(heading: "lane", isNumber: false), cell: \.lane),
            LaneColumn(column: .init(heading: "rate", unit: "1/s"), cell: { Figures.short($0.perSecond) }),
            LaneColumn(
                column: .init(heading: "CPU", unit: "µs/\(unit)"),
                cell: { $0.cpuPerExchange.map(Figures.short) ?? Figures.missing }),
            LaneColumn(
                column: .init(heading: "per core", unit: "× \(baseline ?? "baseline")"),
                cell: { $0.perCoreRatio.map { Figures.spread($0) } ?? Figures.missing }),
        ] + Self.timeColumns + [
            LaneColumn(
                column: .init(heading: "peak", unit: "MB"),
                cell: { $0.residentPeak.map(Figures.megabytes) ?? Figures.missing }),
            LaneColumn(column: .init(heading: "rounds"), cell: { Figures.whole($0.rounds) }),
            LaneColumn(column: .init(heading: "failed"), cell: { Figures.whole($0.failed) }),
        ]
    }

    private static var timeColumns: [LaneColumn] {
        [
            Self.time("1st byte", "p50", \.firstByteP50), Self.time("1st byte", "p99", \.firstByteP99),
            Self.time("gap", "p99", \.gapP99),
            Self.time("total", "p50", \.totalP50), Self.time("total", "p99", \.totalP99),
            Self.added("added", "p50", \.addedP50), Self.added("added", "p99", \.addedP99),
            Self.added("added gap", "p99", \.addedGapP99),
        ]
    }

    /// 0 is what a lane has that never observed one.
    private static func time(_ heading: String, _ quantile: String, _ value: KeyPath<LaneComparison, Int>)
        -> LaneColumn
    {
        LaneColumn(
            column: .init(heading: heading, unit: "\(quantile) ms"),
            cell: { $0[keyPath: value] == 0 ? Figures.missing : Figures.milliseconds($0[keyPath: value]) })
    }

    private static func added(
        _ heading: String, _ quantile: String, _ value: KeyPath<LaneComparison, Double?>
    ) -> LaneColumn {
        LaneColumn(
            column: .init(heading: heading, unit: "\(quantile) µs"),
            cell: { $0[keyPath: value].map { Figures.fixed($0, places: 0) } ?? Figures.missing })
    }
}
