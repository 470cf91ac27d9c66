/// A dot per run: a drift of the machine over rounds is a slope of all lanes.
struct ThroughputPlot: Sendable {
    var id: String
    var lanes: [(mark: LaneMark, runs: [RunResult])]

    /// nil: nothing was measured.
    init?(id: String, scenario: ScenarioResult, marks: [LaneMark]) {
        self.id = id
        self.lanes = marks.map { ($0, scenario.measuredRuns(lane: $0.lane)) }.filter { !$0.1.isEmpty }
        if self.lanes.isEmpty { return nil }
    }

    var figure: Markup {
        let frame = PlotFrame()
        let scale = PlotScale(spanning: self.lanes.flatMap { $0.runs.map(\.perSecond) }, isTight: true)
        let grid = scale.marks.map { frame.horizontalLine(scale.place($0), label: Figures.mark($0)) }
        let rounds = self.roundMarks.map { frame.verticalLine(self.place($0), label: "\($0)") }
        let dots = self.lanes.flatMap { mark, runs in self.drawing(mark, runs, frame, scale) }
        let names = [frame.nameBelow("round"), frame.nameBeside(scale.named("exchanges/s"))]
        return PlotFigure(
            id: self.id, title: "Throughput",
            note: "exchanges per second of each run; a common slope is drift; the axis may begin above 0",
            words: self.words, legend: self.lanes.map(\.mark), frame: frame,
            drawing: grid + rounds + names + dots
        ).markup
    }

    private func drawing(
        _ mark: LaneMark, _ runs: [RunResult], _ frame: PlotFrame, _ scale: PlotScale
    ) -> [Markup] {
        let places = runs.map { (x: frame.x(self.place($0.round)), y: frame.y(scale.place($0.perSecond))) }
        return ["<g class=\"faint\">\(mark.line(places))</g>"]
            + zip(runs, places).map { run, place in
                let title = "\(mark.lane), round \(run.round): \(Figures.short(run.perSecond))/s"
                return mark.shape(x: place.x, y: place.y, title: title)
            }
    }

    private var rounds: [Int] { Set(self.lanes.flatMap { $0.runs.map(\.round) }).sorted() }

    /// No more than fit side by side.
    private var roundMarks: [Int] {
        let rounds = self.rounds
        let stride = (rounds.count + 9) / 10
        return rounds.enumerated().filter { $0.offset.isMultiple(of: max(1, stride)) }.map(\.element)
    }

    /// Off the edges, so that no dot lies on an axis.
    private func place(_ round: Int) -> Double {
        guard let first = self.rounds.first, let last = self.rounds.last, last > first else { return 0.5 }
        return 0.04 + 0.92 * Double(round - first) / Double(last - first)
    }

    private var words: String {
        self.lanes.map { mark, runs in
            let rates = runs.map { "\(Figures.short($0.perSecond))/s in round \($0.round)" }
            return "\(mark.lane): \(rates.joined(separator: ", "))."
        }.joined(separator: " ")
    }
}
