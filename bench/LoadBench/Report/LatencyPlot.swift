/// One line per lane: how long exchanges took, by the share of them that took no longer.
struct LatencyPlot: Sendable {
    var id: String
    var title: String
    var lanes: [(mark: LaneMark, curve: LatencyCurve)]

    /// nil: no lane has a curve.
    init?(
        id: String, title: String, scenario: ScenarioResult, marks: [LaneMark],
        _ distribution: KeyPath<RunResult, Quantiles>
    ) {
        self.id = id
        self.title = title
        self.lanes = marks.compactMap { mark in
            LatencyCurve(medianOf: scenario.measuredRuns(lane: mark.lane), distribution).map { (mark, $0) }
        }
        if self.lanes.isEmpty { return nil }
    }

    var figure: Markup {
        let frame = PlotFrame()
        let scale = PlotScale(spanning: self.lanes.flatMap { $0.curve.points.map(\.milliseconds) })
        let grid = scale.marks.map { frame.horizontalLine(scale.place($0), label: Figures.mark($0)) }
        let shares = Nines.marks.map { frame.verticalLine(Nines.place(Nines.of($0.share)), label: $0.label) }
        let lines = self.lanes.flatMap { self.drawing($0.mark, $0.curve, frame, scale) }
        let names = [frame.nameBelow("share"), frame.nameBeside(scale.named("ms"))]
        return PlotFigure(
            id: self.id, title: self.title, note: "lower is better; the round in the middle of each lane",
            words: self.words, legend: self.lanes.map(\.mark), frame: frame,
            drawing: grid + shares + names + lines
        ).markup
    }

    private func drawing(
        _ mark: LaneMark, _ curve: LatencyCurve, _ frame: PlotFrame, _ scale: PlotScale
    ) -> [Markup] {
        let line = mark.line(
            curve.points.map { (frame.x(Nines.place($0.nines)), frame.y(scale.place($0.milliseconds))) })
        return [line]
            + Nines.marks.compactMap { share, label in
                curve.milliseconds(at: share).map { value in
                    mark.shape(
                        x: frame.x(Nines.place(Nines.of(share))), y: frame.y(scale.place(value)),
                        title: "\(mark.lane), \(label): \(Figures.short(value)) ms")
                }
            }
    }

    private var words: String {
        self.lanes.map { mark, curve in
            let values = Nines.marks.compactMap { share, label in
                curve.milliseconds(at: share).map { "\(label) within \(Figures.short($0)) ms" }
            }
            return "\(mark.lane): \(values.joined(separator: ", "))."
        }.joined(separator: " ")
    }
}
