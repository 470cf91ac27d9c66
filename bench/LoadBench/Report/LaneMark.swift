/// How a lane looks in every plot of a report: a colour, and for those who do not see it a shape and a dash.
struct LaneMark: Sendable, Equatable {
    let lane: String
    /// Order of the lane in the suite.
    let index: Int

    var colour: Markup { "k\(self.index % 8)" }

    /// Shapes and colours repeat after different counts: forty lanes differ.
    func shape(x: Double, y: Double, title: String, size: Double = 4.5) -> Markup {
        let path: Markup
        switch self.index % 5 {
        case 0: path = "<circle cx=\"\(x)\" cy=\"\(y)\" r=\"\(size)\">"
        case 1: path = Self.polygon([(-1, -1), (1, -1), (1, 1), (-1, 1)], x, y, size * 0.9)
        case 2: path = Self.polygon([(0, -1.2), (1.15, 0.9), (-1.15, 0.9)], x, y, size)
        case 3: path = Self.polygon([(0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)], x, y, size)
        default: path = Self.polygon([(-1.15, -0.9), (1.15, -0.9), (0, 1.2)], x, y, size)
        }
        let end: Markup = self.index % 5 == 0 ? "</circle>" : "</polygon>"
        return "<g class=\"mark \(self.colour)\">\(path)<title>\(title)</title>\(end)</g>"
    }

    func line(_ points: [(x: Double, y: Double)]) -> Markup {
        let places = points.map { point -> Markup in "\(point.x),\(point.y)" }
        return "<polyline class=\"line d\(self.index % 5) \(self.colour)\" points=\"\(places)\"/>"
    }

    var legendItem: Markup {
        """
        <li><svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true">\(self.line([(0, 6), (34, 6)]))\
        \(self.shape(x: 17, y: 6, title: self.lane))</svg>\(self.lane)</li>
        """
    }

    private static func polygon(_ corners: [(Double, Double)], _ x: Double, _ y: Double, _ size: Double)
        -> Markup
    {
        let places = corners.map { corner -> Markup in "\(x + corner.0 * size),\(y + corner.1 * size)" }
        return "<polygon points=\"\(places)\">"
    }
}
