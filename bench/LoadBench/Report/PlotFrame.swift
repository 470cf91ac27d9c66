/// The plane of a plot: where values are on it, its axes, and the figure around it.
struct PlotFrame: Sendable {
    var width = 480.0
    var height = 280.0
    var left = 68.0
    var right = 30.0
    var top = 14.0
    var bottom = 44.0

    var innerWidth: Double { self.width - self.left - self.right }
    var innerHeight: Double { self.height - self.top - self.bottom }

    func x(_ place: Double) -> Double { self.left + place * self.innerWidth }
    func y(_ place: Double) -> Double { self.top + (1 - place) * self.innerHeight }

    func horizontalLine(_ place: Double, label: String) -> Markup {
        """
        <path class="grid" d="M\(self.left) \(self.y(place))h\(self.innerWidth)"/>
        <text x="\(self.left - 8)" y="\(self.y(place) + 4)" text-anchor="end">\(label)</text>
        """
    }

    func verticalLine(_ place: Double, label: String) -> Markup {
        """
        <path class="grid" d="M\(self.x(place)) \(self.top)v\(self.innerHeight)"/>
        <text x="\(self.x(place))" y="\(self.y(0) + 18)" text-anchor="middle">\(label)</text>
        """
    }

    func nameBelow(_ name: String) -> Markup {
        "<text x=\"\(self.x(0.5))\" y=\"\(self.height - 6)\" text-anchor=\"middle\">\(name)</text>"
    }

    func nameBeside(_ name: String) -> Markup {
        let middle = self.y(0.5)
        return """
            <text x="12" y="\(middle)" text-anchor="middle" transform="rotate(-90 12 \(middle))">\(name)</text>
            """
    }
}

/// A drawing with its title, its legend, and what it shows in words.
struct PlotFigure: Sendable {
    /// Of the document.
    var id: String
    var title: String
    var note: String
    var words: String
    /// Empty: lanes are named in the drawing.
    var legend: [LaneMark] = []
    var frame: PlotFrame
    var drawing: [Markup]

    var markup: Markup {
        let legend: Markup =
            self.legend.isEmpty ? "" : "<ul class=\"legend\">\(self.legend.map(\.legendItem))</ul>"
        return """
            <figure>
            <figcaption><b>\(self.title)</b> <span>\(self.note)</span></figcaption>
            \(legend)
            <svg viewBox="0 0 \(self.frame.width) \(self.frame.height)" role="img" \
            aria-labelledby="\(self.id)-t \(self.id)-d">
            <title id="\(self.id)-t">\(self.title)</title><desc id="\(self.id)-d">\(self.words)</desc>
            \(self.drawing)
            </svg>
            </figure>
            """
    }
}
