import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import Metering

/// Where the pages are, as browsers see them, and where they may lead.
public struct WebSite: Sendable {
    /// Whose it is, for people.
    public let name: String
    /// `https://billing.example.com`, perhaps with a path; without a slash at its end.
    public let publicURL: String
    /// Where forms may lead besides this site: the pages of Stripe's checkout.
    public let checkoutOrigins: [String]
    /// The app that sells through us, for people who come without a session.
    public let appURL: String?
    let assets: WebAssets

    /// - Parameters:
    ///   - name: whose it is, for people.
    ///   - checkoutOrigins: checked by the configuration: they become part of a header.
    ///   - chartScript: Chart.js; nil: figures stand in tables only.
    public init(
        name: String, publicURL: String, checkoutOrigins: [String], appURL: String?, chartScript: [UInt8]?
    ) {
        self.name = name
        self.publicURL = publicURL
        self.checkoutOrigins = checkoutOrigins
        self.appURL = appURL
        self.assets = WebAssets(chartScript: chartScript, base: Self.path(publicURL))
    }

    var isSecure: Bool { self.publicURL.hasPrefix("https://") }
    /// What stands before every path of ours; empty in most cases.
    var base: String { Self.path(self.publicURL) }
    /// `scheme://host[:port]`, as a browser names it in `Origin`.
    var origin: String { String(self.publicURL.dropLast(self.base.utf8.count)) }

    /// Of a path below `base`, such as `/billing`.
    func url(_ path: String) -> String { self.publicURL + path }

    /// A link to a page of ours.
    func link(_ path: String, _ parameters: [(String, String?)] = []) -> String {
        let given = parameters.compactMap { name, value in value.map { "\(name)=\(Self.escaped($0))" } }
        return self.base + path + (given.isEmpty ? "" : "?" + given.joined(separator: "&"))
    }

    /// As a part of a path or a query.
    static func escaped(_ text: String) -> String {
        let plain = CharacterSet(
            charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")
        return text.addingPercentEncoding(withAllowedCharacters: plain) ?? ""
    }

    /// A form on another site must not sign anybody in as somebody else. Browsers say where a form is; those that do not,
    /// name the origin, or none under the policy of this page.
    func isHome(of request: Request) -> Bool {
        if let site = request.headers[.fetchSite] { return site == "same-origin" || site == "none" }
        guard let origin = request.headers[.origin], origin != "null" else { return true }
        return origin == self.origin
    }

    private static func path(_ url: String) -> String {
        let parts = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        return parts.count > 3 ? "/" + parts[3] : ""
    }

    /// Nothing from elsewhere, no script or style inside of a page, no page inside of another.
    ///
    /// `form-action` also rules where a form may be redirected to, and buying leads to Stripe's page.
    var contentSecurityPolicy: String {
        let forms = (["'self'"] + self.checkoutOrigins).joined(separator: " ")
        return
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
            + "form-action \(forms); frame-ancestors 'none'; base-uri 'none'"
    }
}

/// Files that pages name. Each has a digest of its contents in its name, so that browsers may keep it for ever.
struct WebAssets: Sendable {
    struct File: Sendable {
        var contents: [UInt8]
        var contentType: String
    }

    /// By the last part of their paths.
    private var files: [String: File] = [:]
    private var urls: [String: String] = [:]
    private let base: String

    init(chartScript: [UInt8]?, base: String) {
        self.base = base
        self.add("site.css", PackageResources.site_css, "text/css; charset=utf-8")
        self.add("icon.svg", PackageResources.icon_svg, "image/svg+xml")
        self.add("credits.js", PackageResources.credits_js, "text/javascript; charset=utf-8")
        self.add("console.js", PackageResources.console_js, "text/javascript; charset=utf-8")
        self.add("open.js", PackageResources.open_js, "text/javascript; charset=utf-8")
        if let chartScript { self.add("chart.js", chartScript, "text/javascript; charset=utf-8") }
    }

    private mutating func add(_ name: String, _ contents: [UInt8], _ contentType: String) {
        let digest = Hexadecimal.text(SHA256.hash(data: contents).prefix(8))
        let parts = name.split(separator: ".")
        let file = "\(parts[0]).\(digest).\(parts[1])"
        self.files[file] = File(contents: contents, contentType: contentType)
        self.urls[name] = "\(self.base)/assets/\(file)"
    }

    /// - Parameter file: as its URL names it.
    subscript(file file: String) -> File? { self.files[file] }

    /// nil: it is not here.
    func url(_ name: String) -> String? { self.urls[name] }
}
