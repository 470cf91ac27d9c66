/// A table of the statement, as text: everything is decided here but the places on the pages.
struct PageTable: Sendable, Equatable {
    var title: String
    var columns: [Column]
    /// As many cells as columns, each.
    var rows: [[Cell]]
    var total: [Cell]

    struct Column: Sendable, Equatable {
        var title: String
        /// Points.
        var width: Double
        var kind: Kind

        enum Kind: Sendable, Equatable {
            /// Left, ellipsized at its end.
            case text
            /// Left, a little smaller when too wide, then ellipsized in the middle: names whose ends tell
            /// them apart.
            case name
            /// Right, never cut: a figure that is too wide is printed smaller.
            case number

            var fit: PDFCanvas.Fit {
                switch self {
                case .text: .ellipsis
                case .name: .middleEllipsis
                case .number: .shrink
                }
            }
        }
    }

    struct Cell: Sendable, Equatable {
        var text: String
        /// Where a click leads.
        var link: String?

        init(_ text: String, link: String? = nil) {
            self.text = text
            self.link = link
        }

        static let empty = Cell("")
    }
}
