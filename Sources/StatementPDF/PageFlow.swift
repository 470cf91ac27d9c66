/// Which part of which table stands on which page: plain arithmetic of heights, without a canvas.
struct PageFlow: Sendable, Equatable {
    /// Points.
    struct Heights: Sendable, Equatable {
        var title = 34.0
        var heading = 17.0
        var row = 13.5
        var total = 19.0
    }

    enum Block: Sendable, Equatable {
        /// With the blank above it. A table goes on under its title on the next page.
        case title(table: Int, isContinued: Bool)
        case heading(table: Int)
        case row(table: Int, row: Int)
        case total(table: Int)
    }

    private(set) var pages: [[Block]] = [[]]
    private let heights: Heights
    private let laterSpace: Double
    private var left: Double

    /// - Parameters:
    ///   - rowCounts: of each table, at least 1.
    ///   - firstSpace: points under the head of the first page.
    ///   - laterSpace: points of the other pages; many rows fit.
    init(rowCounts: [Int], firstSpace: Double, laterSpace: Double, heights: Heights = Heights()) {
        precondition(
            laterSpace >= heights.title + heights.heading + 2 * heights.row + heights.total,
            "PageFlow: a page holds at least two rows of a table")
        self.heights = heights
        self.laterSpace = laterSpace
        self.left = firstSpace
        for (table, rows) in rowCounts.enumerated() { self.add(table, rows: rows) }
    }

    private mutating func add(_ table: Int, rows: Int) {
        precondition(rows > 0, "PageFlow: a table without rows is left out by its maker")
        // A title never stands at the foot of a page with less than two rows under it.
        let start = self.heights.title + self.heights.heading + Double(min(rows, 2)) * self.heights.row
        if start + (rows <= 2 ? self.heights.total : 0) > self.left { self.breakPage() }
        self.open(table, isContinued: false)
        for row in 0..<rows {
            // The total never stands alone.
            let isLast = row == rows - 1
            if self.heights.row + (isLast ? self.heights.total : 0) > self.left {
                self.breakPage()
                self.open(table, isContinued: true)
            }
            self.put(.row(table: table, row: row), self.heights.row)
        }
        self.put(.total(table: table), self.heights.total)
    }

    private mutating func open(_ table: Int, isContinued: Bool) {
        self.put(.title(table: table, isContinued: isContinued), self.heights.title)
        self.put(.heading(table: table), self.heights.heading)
    }

    private mutating func put(_ block: Block, _ height: Double) {
        self.pages[self.pages.count - 1].append(block)
        self.left -= height
    }

    private mutating func breakPage() {
        self.pages.append([])
        self.left = self.laterSpace
    }

    func height(of block: Block) -> Double {
        switch block {
        case .title: self.heights.title
        case .heading: self.heights.heading
        case .row: self.heights.row
        case .total: self.heights.total
        }
    }
}
