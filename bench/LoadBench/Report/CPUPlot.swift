/// A bar per lane whose proxy was watched: the median of its rounds, with a whisker from the lowest to the highest.
struct CPUPlot: Sendable {
    struct Row: Sendable {
        var mark: LaneMark
        var microseconds: LaneComparison.Spread
        var ratio: LaneComparison.Spread?
    }

    var id: String
    var baseline: String?
    var rows: [Row]

    /// nil: no proxy was watched.
    init?(id: String, summary: ScenarioSummary, marks: [LaneMark]) {
        self.id = id
        self.baseline = summary.baseline
        self.rows = zip(marks, summary.lanes).compactMap { mark, lane in
            let runs = summary.scenario.measuredRuns(lane: lane.lane)
            return LaneComparison.Spread(of: runs.compactMap(\.proxyMicrosecondsEach)).map {
                Row(mark: mark, microseconds: $0, ratio: lane.perCoreRatio)
            }
        }
        if self.rows.isEmpty { return nil }
    }

    var figure: Markup {
        let rowHeight = 52.0
        var frame = PlotFrame(left: 12, right: 34, top: 4)
        frame.height = Double(self.rows.count) * rowHeight + frame.top + frame.bottom
        let scale = PlotScale(spanning: self.rows.flatMap { [$0.microseconds.low, $0.microseconds.high] })
        let grid = scale.marks.map { frame.verticalLine(scale.place($0), label: Figures.mark($0)) }
        let bars = self.rows.enumerated().map { index, row in
            self.drawing(row, top: frame.top + Double(index) * rowHeight, frame, scale)
        }
        return PlotFigure(
            id: self.id, title: "CPU of the proxy",
            note: "less is better; whiskers are the extremes of the rounds\(self.ratioNote)",
            words: self.words, frame: frame,
            drawing: grid + [frame.nameBelow(scale.named("µs of CPU for each"))] + bars
        ).markup
    }

    private func drawing(_ row: Row, top: Double, _ frame: PlotFrame, _ scale: PlotScale) -> Markup {
        let (low, middle, high) = (
            frame.x(scale.place(row.microseconds.low)), frame.x(scale.place(row.microseconds.median)),
            frame.x(scale.place(row.microseconds.high))
        )
        let centre = top + 34
        // The length of a bar on a logarithmic axis says nothing: a mark is there instead, above the whisker.
        let behind: Markup =
            scale.kind == .linear ? Self.bar(row, from: frame.left, to: middle, centre: centre) : ""
        let before: Markup =
            scale.kind == .linear ? "" : row.mark.shape(x: middle, y: centre, title: Self.label(row), size: 6)
        return """
            <text class="name" x="\(frame.left)" y="\(top + 18)">\(Self.shortened(row.mark.lane))</text>
            <text x="\(frame.width - frame.right)" y="\(top + 18)" text-anchor="end">\(Self.label(row))</text>
            \(behind)
            <path class="whisker" d="M\(low) \(centre)H\(high)M\(low) \(centre - 5)v10M\(high) \(centre - 5)v10"/>
            \(before)
            """
    }

    private static func bar(_ row: Row, from left: Double, to right: Double, centre: Double) -> Markup {
        """
        <rect class="bar \(row.mark.colour)" x="\(left)" y="\(centre - 9)" width="\(max(1, right - left))" height="18" \
        rx="2"><title>\(row.mark.lane): \(Self.label(row))</title></rect>
        """
    }

    private static func label(_ row: Row) -> String {
        "\(Figures.short(row.microseconds.median)) µs"
            + (row.ratio.map { " · × \(Figures.spread($0))" } ?? "")
    }

    static func shortened(_ lane: String) -> String {
        lane.count > 26 ? String(lane.prefix(25)) + "…" : lane
    }

    private var ratioNote: String {
        guard let baseline = self.baseline, self.rows.contains(where: { $0.ratio != nil }) else { return "" }
        return "; × is what a CPU second serves over \(baseline)"
    }

    private var words: String {
        self.rows.map { row in
            let (low, high) = (Figures.short(row.microseconds.low), Figures.short(row.microseconds.high))
            return "\(row.mark.lane): \(Self.label(row)), from \(low) to \(high) µs."
        }.joined(separator: " ")
    }
}
