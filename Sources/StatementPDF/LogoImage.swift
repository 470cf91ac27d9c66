import CPango

/// A PNG in memory. Owns cairo's surface.
final class LogoImage {
    /// Pixels a side; more is no logo, and costs memory.
    static let sideMax: Int32 = 4096

    /// Pixels.
    let width: Double
    let height: Double
    private let surface: OpaquePointer

    init(path: String) throws(StatementPDFFailure) {
        guard let surface = cairo_image_surface_create_from_png(path) else {
            throw .logo(path: path, reason: "no memory")
        }
        let status = cairo_surface_status(surface)
        guard status == CAIRO_STATUS_SUCCESS else {
            cairo_surface_destroy(surface)
            throw .logo(path: path, reason: String(cString: cairo_status_to_string(status)))
        }
        let (width, height) = (
            cairo_image_surface_get_width(surface), cairo_image_surface_get_height(surface)
        )
        guard width > 0, height > 0, width <= Self.sideMax, height <= Self.sideMax else {
            cairo_surface_destroy(surface)
            throw .logo(path: path, reason: "\(width) × \(height) pixels")
        }
        self.width = Double(width)
        self.height = Double(height)
        self.surface = surface
    }

    deinit { cairo_surface_destroy(self.surface) }

    /// At the origin, a pixel to a point.
    func paint(on context: OpaquePointer) {
        cairo_set_source_surface(context, self.surface, 0, 0)
        cairo_paint(context)
    }
}
