/// Resident memory of the proxy: before, after and peak of each lane.
struct MemoryPlot: Sendable {
    var id: String
    var rows: [(mark: LaneMark, use: MemoryUse)]

    /// nil: no proxy was watched.
    init?(id: String, scenario: ScenarioResult, marks: [LaneMark]) {
        self.id = id
        self.rows = marks.compactMap { mark in
            MemoryUse(of: scenario.measuredRuns(lane: mark.lane).compactMap { $0.process(.proxy) }).map {
                (mark, $0)
            }
        }
        if self.rows.isEmpty { return nil }
    }

    var figure: Markup {
        let rowHeight = 72.0
        var frame = PlotFrame(left: 66, right: 84, top: 4)
        frame.height = Double(self.rows.count) * rowHeight + frame.top + frame.bottom
        let scale = PlotScale(
            .linear, from: 0, to: self.rows.map { Double($0.use.highest) / 1_000_000 }.max() ?? 0)
        let grid = scale.marks.map { frame.verticalLine(scale.place($0), label: Figures.mark($0)) }
        let bars = self.rows.enumerated().flatMap { index, row in
            self.drawing(row.mark, row.use, top: frame.top + Double(index) * rowHeight, frame, scale)
        }
        return PlotFigure(
            id: self.id, title: "Memory of the proxy",
            note: "medians of the rounds before and after a run; the highest peak",
            words: self.words, frame: frame, drawing: grid + [frame.nameBelow("MB resident")] + bars
        ).markup
    }

    private func drawing(
        _ mark: LaneMark, _ use: MemoryUse, top: Double, _ frame: PlotFrame, _ scale: PlotScale
    ) -> [Markup] {
        let name: Markup =
            "<text class=\"name\" x=\"10\" y=\"\(top + 16)\">\(CPUPlot.shortened(mark.lane))</text>"
        return [name]
            + use.phases.enumerated().map { index, phase -> Markup in
                let centre = top + 28 + Double(index) * 15
                let width = max(1, scale.place(Double(phase.bytes) / 1_000_000) * frame.innerWidth)
                let label = "\(Figures.megabytes(phase.bytes)) MB"
                return """
                    <text x="\(frame.left - 8)" y="\(centre + 4)" text-anchor="end">\(phase.name)</text>
                    <rect class="bar \(phase.name) \(mark.colour)" x="\(frame.left)" y="\(centre - 5)" \
                    width="\(width)" height="10" rx="2"><title>\(mark.lane), \(phase.name): \(label)</title></rect>
                    <text x="\(frame.left + width + 6)" y="\(centre + 4)">\(label)</text>
                    """
            }
    }

    private var words: String {
        self.rows.map { mark, use in
            let phases = use.phases.map { "\($0.name) \(Figures.megabytes($0.bytes)) MB" }
            return "\(mark.lane): \(phases.joined(separator: ", "))."
        }.joined(separator: " ")
    }
}

extension MemoryUse {
    var phases: [(name: String, bytes: Int)] {
        [("before", self.before), ("after", self.after), ("peak", self.peak)]
    }

    /// A peak that was never read is lower than what was.
    var highest: Int { max(self.before, self.after, self.peak) }
}
