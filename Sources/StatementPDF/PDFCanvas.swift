import CPango

/// A PDF that is drawn page by page, in points from the upper left corner. Owns cairo's surface and context
/// and one layout of pango that every text is set with. Used by the thread that made it only (pango's fonts
/// are per thread).
final class PDFCanvas {
    /// A4.
    static let width = 595.276
    static let height = 841.890

    private let sink = Sink()
    private let surface: OpaquePointer
    private let context: OpaquePointer
    private let layout: OpaquePointer

    /// The font of the layout.
    private var current: (size: Double, isBold: Bool)?

    /// What cairo has written so far.
    private final class Sink {
        var bytes: [UInt8] = []
    }

    struct Document {
        var title: String
        var author: String
        /// ISO 8601.
        var created: String
    }

    init(_ document: Document) throws(StatementPDFFailure) {
        let write: cairo_write_func_t = { closure, data, length in
            guard let closure, let data else { return CAIRO_STATUS_WRITE_ERROR }
            let sink = Unmanaged<Sink>.fromOpaque(closure).takeUnretainedValue()
            sink.bytes.append(contentsOf: UnsafeBufferPointer(start: data, count: Int(length)))
            return CAIRO_STATUS_SUCCESS
        }
        // The sink outlives the surface: both are this object's, and `deinit` finishes the surface first.
        let closure = Unmanaged.passUnretained(self.sink).toOpaque()
        guard
            let surface = cairo_pdf_surface_create_for_stream(write, closure, Self.width, Self.height),
            let context = cairo_create(surface), let layout = pango_cairo_create_layout(context)
        else { throw .drawing(reason: "no memory") }
        self.surface = surface
        self.context = context
        self.layout = layout
        cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_TITLE, document.title)
        cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_AUTHOR, document.author)
        cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATOR, "Tollgate")
        cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATE_DATE, document.created)
        self.setUpText()
    }

    deinit {
        g_object_unref(UnsafeMutableRawPointer(self.layout))
        cairo_destroy(self.context)
        cairo_surface_finish(self.surface)
        cairo_surface_destroy(self.surface)
    }

    /// A point of the page is a point of the font, and no glyph is moved to a screen's pixels.
    private func setUpText() {
        let pango = pango_layout_get_context(self.layout)
        let options = cairo_font_options_create()
        cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE)
        cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF)
        pango_cairo_context_set_font_options(pango, options)
        cairo_font_options_destroy(options)
        pango_cairo_context_set_resolution(pango, 72)
        pango_context_set_round_glyph_positions(pango, 0)
        // Names of others must not turn a line around.
        pango_layout_set_auto_dir(self.layout, 0)
        pango_layout_set_single_paragraph_mode(self.layout, 1)
        // An id that goes on in the next line has no hyphen there.
        let attributes = pango_attr_list_new()
        pango_attr_list_insert(attributes, pango_attr_insert_hyphens_new(0))
        pango_layout_set_attributes(self.layout, attributes)
        pango_attr_list_unref(attributes)
    }

    struct Font: Hashable {
        /// Points.
        var size: Double
        var isBold = false
        var colour = Colour.ink
    }

    struct Colour: Hashable {
        var red: Double
        var green: Double
        var blue: Double

        static let ink = Colour(red: 0.11, green: 0.13, blue: 0.16)
        static let grey = Colour(red: 0.42, green: 0.45, blue: 0.49)
        static let line = Colour(red: 0.86, green: 0.87, blue: 0.89)
        static let panel = Colour(red: 0.955, green: 0.962, blue: 0.972)
        static let accent = Colour(red: 0.11, green: 0.25, blue: 0.43)
    }

    enum Fit: Hashable {
        /// One line, cut at its end.
        case ellipsis
        /// One line, printed a little smaller when it is too wide, then cut in the middle.
        case middleEllipsis
        /// One line, printed smaller when it is too wide.
        case shrink
        /// Several lines; the last is cut.
        case wrap(lines: Int32)
    }

    struct Box {
        var x: Double
        /// Upper edge of the line.
        var y: Double
        var width: Double
    }

    enum Side { case left, right }

    /// Of DejaVu Sans, as a part of its size.
    private static let ascent = 0.928

    /// Height of the text as it would be drawn, in points.
    func height(_ text: String, _ font: Font, width: Double, _ fit: Fit) -> Double {
        self.set(text, font, width: width, .left, fit)
        return self.size.height
    }

    /// The text would be drawn with an ellipsis, or over more than one line.
    func isCut(_ text: String, _ font: Font, width: Double, _ fit: Fit) -> Bool {
        self.set(text, font, width: width, .left, fit)
        return pango_layout_is_ellipsized(self.layout) != 0 || pango_layout_get_line_count(self.layout) > 1
    }

    func draw(
        _ text: String, _ font: Font, in box: Box, _ side: Side = .left, _ fit: Fit = .ellipsis,
        link: String? = nil
    ) {
        guard !text.isEmpty else { return }
        self.set(text, font, width: box.width, side, fit)
        cairo_save(self.context)
        defer { cairo_restore(self.context) }
        if !text.utf8.allSatisfy({ $0 < 0x80 }) {
            // Stacks of combining marks stay in their row.
            cairo_rectangle(self.context, box.x, box.y - 1.5, box.width, self.size.height + 3)
            cairo_clip(self.context)
        }
        self.ink(font.colour)
        let attributes = link.flatMap(Self.linkAttributes)
        if let attributes { cairo_tag_begin(self.context, CAIRO_TAG_LINK, attributes) }
        // On the line that the font has at its full size, also where it was shrunk or another font had to
        // help.
        let baseline = Double(pango_layout_get_baseline(self.layout)) / Double(PANGO_SCALE)
        cairo_move_to(self.context, box.x, box.y + font.size * Self.ascent - baseline)
        pango_cairo_show_layout(self.context, self.layout)
        if attributes != nil { cairo_tag_end(self.context, CAIRO_TAG_LINK) }
    }

    func rule(y: Double, from left: Double, to right: Double, width: Double = 0.5, _ colour: Colour = .line) {
        self.ink(colour)
        cairo_set_line_width(self.context, width)
        cairo_move_to(self.context, left, y)
        cairo_line_to(self.context, right, y)
        cairo_stroke(self.context)
    }

    func panel(x: Double, y: Double, width: Double, height: Double, _ colour: Colour = .panel) {
        self.ink(colour)
        cairo_rectangle(self.context, x, y, width, height)
        cairo_fill(self.context)
    }

    /// Scaled into the box, at its upper left, never enlarged.
    func draw(_ logo: LogoImage, x: Double, y: Double, width: Double, height: Double) {
        let scale = min(width / logo.width, height / logo.height, 1)
        cairo_save(self.context)
        cairo_translate(self.context, x, y)
        cairo_scale(self.context, scale, scale)
        logo.paint(on: self.context)
        cairo_restore(self.context)
    }

    func endPage() { cairo_show_page(self.context) }

    /// The whole document. Nothing is drawn afterwards.
    func finish() throws(StatementPDFFailure) -> [UInt8] {
        let drawn = cairo_status(self.context)
        cairo_surface_finish(self.surface)
        let written = cairo_surface_status(self.surface)
        for status in [drawn, written] where status != CAIRO_STATUS_SUCCESS {
            throw .drawing(reason: String(cString: cairo_status_to_string(status)))
        }
        return self.sink.bytes
    }

    private func set(_ text: String, _ font: Font, width: Double, _ side: Side, _ fit: Fit) {
        self.setFont(size: font.size, isBold: font.isBold)
        pango_layout_set_text(self.layout, text, Int32(text.utf8.count))
        pango_layout_set_alignment(self.layout, side == .left ? PANGO_ALIGN_LEFT : PANGO_ALIGN_RIGHT)
        pango_layout_set_wrap(self.layout, PANGO_WRAP_WORD_CHAR)
        switch fit {
        case .ellipsis:
            pango_layout_set_height(self.layout, -1)
            pango_layout_set_ellipsize(self.layout, PANGO_ELLIPSIZE_END)
        case .middleEllipsis:
            self.shrink(font, to: width, atMost: 0.8)
            pango_layout_set_ellipsize(self.layout, PANGO_ELLIPSIZE_MIDDLE)
        case .wrap(let lines):
            pango_layout_set_height(self.layout, -lines)
            pango_layout_set_ellipsize(self.layout, PANGO_ELLIPSIZE_END)
        case .shrink:
            self.shrink(font, to: width, atMost: 0)
        }
        pango_layout_set_width(self.layout, Int32(width * Double(PANGO_SCALE)))
    }

    /// Sets a font in which the layout's text is one line of this width, unless it would be smaller than
    /// allowed.
    private func shrink(_ font: Font, to width: Double, atMost factorMin: Double) {
        pango_layout_set_height(self.layout, -1)
        pango_layout_set_ellipsize(self.layout, PANGO_ELLIPSIZE_NONE)
        pango_layout_set_width(self.layout, -1)
        var factor = 1.0
        // More than once, where glyphs do not shrink in proportion.
        for _ in 0..<4 where self.size.width > width && factor > factorMin {
            factor = max(factor * width / self.size.width * 0.995, factorMin)
            self.setFont(size: font.size * factor, isBold: font.isBold)
        }
    }

    private func setFont(size: Double, isBold: Bool) {
        guard self.current?.size != size || self.current?.isBold != isBold else { return }
        self.current = (size, isBold)
        let description = pango_font_description_new()
        pango_font_description_set_family(description, "DejaVu Sans, sans-serif")
        pango_font_description_set_size(description, Int32(size * Double(PANGO_SCALE)))
        pango_font_description_set_weight(description, isBold ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL)
        pango_layout_set_font_description(self.layout, description)
        pango_font_description_free(description)
    }

    private var size: (width: Double, height: Double) {
        var width: Int32 = 0
        var height: Int32 = 0
        pango_layout_get_size(self.layout, &width, &height)
        return (Double(width) / Double(PANGO_SCALE), Double(height) / Double(PANGO_SCALE))
    }

    private func ink(_ colour: Colour) {
        cairo_set_source_rgb(self.context, colour.red, colour.green, colour.blue)
    }

    /// Cairo reads attributes between quotes: nothing that could end them passes. nil: printed without a
    /// link.
    static func linkAttributes(_ url: String) -> String? {
        guard url.hasPrefix("https://"), url.utf8.count <= 2000,
            url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && !#"'"\<>"#.utf8.contains($0) })
        else { return nil }
        return "uri='\(url)'"
    }
}
