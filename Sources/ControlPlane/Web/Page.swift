import HTTPTypes
import Hummingbird

/// A line at the top of a page.
struct PageNotice: Sendable, Hashable {
    enum Tone: String {
        case info, good, warning, bad
    }

    let tone: String
    let text: String
    /// Whoever cannot see the page is told at once.
    let isUrgent: Bool

    init(_ tone: Tone, _ text: String) {
        self.tone = tone.rawValue
        self.text = text
        self.isUrgent = tone == .bad || tone == .warning
    }
}

/// An entry of the navigation.
struct PageLink: Sendable, Hashable {
    let name: String
    let url: String
    let isCurrent: Bool
}

/// What the layout shows around every page. Templates read the members by their names.
struct PageFrame: Sendable {
    let title: String
    let product: String
    let base: String
    let style: String
    let icon: String
    var scripts: [String] = []
    var links: [PageLink] = []
    var notices: [PageNotice] = []
    /// Who is signed in; nil: nobody.
    var user: String?
    /// Of the session; nil: there is none.
    var csrf: String?
    /// Where signing out is posted to.
    var signOutURL: String?
    var returnURL: String?
    /// Tables of many columns, and a navigation of many words.
    var isWide = false
    /// Loads itself again after so many seconds where scripts do not run.
    var refreshSeconds: Int?

    init(_ title: String, on site: WebSite) {
        self.title = title
        self.product = site.name
        self.base = site.base
        self.style = site.assets.url("site.css") ?? ""
        self.icon = site.assets.url("icon.svg") ?? ""
    }
}

/// A page: a frame, and what a template shows in it.
struct Page {
    var frame: PageFrame
    var template: String
    /// A struct: its members are the template's names.
    var content: Any

    private struct Model {
        let frame: PageFrame
        let content: Any
    }

    func response(_ site: WebSite, _ status: HTTPResponse.Status = .ok) -> Response {
        let text = PageTemplates.render(Model(frame: self.frame, content: self.content), with: self.template)
        var headers: HTTPFields = [
            .contentType: "text/html; charset=utf-8", .cacheControl: "no-store",
            .contentSecurityPolicy: site.contentSecurityPolicy, .referrerPolicy: "same-origin",
        ]
        // For browsers that do not know `frame-ancestors`.
        headers[.frameOptions] = "DENY"
        return Response(
            status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    /// A page that says one thing.
    static func message(_ title: String, _ text: String, on site: WebSite, linkToApp: Bool = false) -> Page {
        struct Message {
            let title: String
            let text: String
            let appURL: String?
        }
        return Page(
            frame: PageFrame(title, on: site), template: "message",
            content: Message(title: title, text: text, appURL: linkToApp ? site.appURL : nil))
    }
}

extension Response {
    /// After a form: the browser asks for another page by GET.
    static func seeOther(_ location: String) -> Response {
        Response(status: .seeOther, headers: [.location: location, .referrerPolicy: "no-referrer"])
    }
}
